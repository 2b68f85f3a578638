"""Versions of tools, and which of them a text asks for, as Terraform reads it.

The rules are those of hashicorp/go-version, which both tools use for `required_version`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "~>"]
_COMPARES: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

LATEST = "latest"
AUTO = "auto"  # what the sources ask for: see runner/detection/required_version.py
LONGEST = 200  # characters of a text that asks for versions

_OWN_BUILD = "dev"  # what both tools call a build that is no release
_NUMBERS = r"[0-9]+(?:\.[0-9]+)*"
_SUFFIX = (
    r"(?P<prerelease>-[0-9]+[0-9A-Za-z~-]*(?:\.[0-9A-Za-z~-]+)*"
    r"|-?[A-Za-z~-]+[0-9A-Za-z~-]*(?:\.[0-9A-Za-z~-]+)*)?"
    r"(?:\+[0-9A-Za-z~-]+(?:\.[0-9A-Za-z~-]+)*)?"
)
_ONE = re.compile(
    rf"[ \t\n\f\r]*(?P<operator><=|>=|!=|~>|<|>|=|)[ \t\n\f\r]*v?(?P<numbers>{_NUMBERS}){_SUFFIX}"
    r"[ \t\n\f\r]*"
)
_PREFIX = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}")
_RELEASE = re.compile(
    r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:-([0-9A-Za-z.-]{1,60}))?(?:\+\S*)?"
)
_LARGEST = 2**63 - 1  # the tools keep a part of a version in 64 bits


class WrongVersion(ValueError):
    """The text asks for no version. Its message says why, for people."""


class Release(NamedTuple):
    """One version of a tool. `prerelease` is `beta1` in 1.13.0-beta1, and empty in a release."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before a release. What somebody has built from sources does not."""
        return self.prerelease not in ("", _OWN_BUILD)

    @property
    def age(self) -> tuple[int, int, int, bool, list[tuple[int, str]]]:
        """A key to sort by: the older one is the smaller one."""
        parts = [(int(p), "") if p.isdigit() else (-1, p) for p in self.prerelease.split(".")]
        return (*self.numbers, not self.is_prerelease, parts)

    def __str__(self) -> str:
        numbers = ".".join(map(str, self.numbers))
        return f"{numbers}-{self.prerelease}" if self.prerelease else numbers


def release(text: str) -> Release | None:
    """The version that a tool or a list of releases names; None for anything else."""
    found = _RELEASE.fullmatch(text)
    if found is None:
        return None
    return Release(int(found[1]), int(found[2]), int(found[3]), found[4] or "")


@dataclass(frozen=True)
class Constraint:
    operator: Operator
    numbers: tuple[int, ...]  # as many as were written
    prerelease: str = ""

    def fits(self, version: Release) -> bool:
        """As Terraform judges: by the numbers, whatever follows them."""
        asked = (*self.numbers, 0, 0, 0)[: max(3, len(self.numbers))]
        there = (*version.numbers, *(0,) * (len(asked) - 3))
        if self.operator != "~>":
            return _COMPARES[self.operator](there, asked)
        kept = len(self.numbers) - 1
        # one of four numbers fits nothing: the versions of tools have three
        return len(asked) == 3 and there >= asked and there[:kept] == asked[:kept]


@dataclass(frozen=True)
class Wanted:
    """What a text asks for. `constraints` have all to hold; a `prefix` is `1.11` for each 1.11.x.

    With `exact` one prerelease is asked for, which nothing else ever chooses.
    """

    text: str
    constraints: tuple[Constraint, ...] = ()
    prefix: tuple[int, ...] = ()
    exact: Release | None = None

    def fits(self, version: Release) -> bool:
        if self.exact is not None:
            return version == self.exact
        if version.is_prerelease:
            return False
        begins = version.numbers[: len(self.prefix)] == self.prefix
        return begins and all(one.fits(version) for one in self.constraints)


def constraints(text: str) -> tuple[Constraint, ...]:
    """The constraints of `required_version`, of which `1.11` is exactly 1.11.0.

    Raises WrongVersion, as the tools refuse the text, prereleases in it too.
    """
    if len(text) > LONGEST:
        raise WrongVersion(f"A version is at most {LONGEST} characters long.")
    found = tuple(map(_constraint, text.split(",")))
    if any(one.prerelease for one in found):
        raise WrongVersion(f"{text!r} compares with a prerelease, which the tools refuse.")
    return found


def wanted(text: str) -> Wanted:
    """What the version of a template asks for: an exact one, `1.11`, constraints, or `latest`.

    Raises WrongVersion.
    """
    text = text.strip()
    if text == LATEST:
        return Wanted(text)
    if _PREFIX.fullmatch(text):
        return Wanted(text, prefix=tuple(map(int, text.split("."))))
    one = release(text)
    if one is not None and one.prerelease:
        return Wanted(text, exact=one)
    found = constraints(text)
    if any(len(constraint.numbers) > 3 for constraint in found):
        raise WrongVersion(f"{text!r} is no version of a tool: they have three numbers.")
    return Wanted(text, found)


def all_of(asked: list[str]) -> Wanted:
    """What several texts ask for together, as `required_version` does. Raises WrongVersion."""
    found = [one for text in asked for one in constraints(text)]
    text = ", ".join(" ".join(text.split()) for text in asked)
    return Wanted(text or LATEST, tuple(found))


def _constraint(text: str) -> Constraint:
    found = _ONE.fullmatch(text)
    if found is None:
        raise WrongVersion(
            f"{text.strip()!r} is no version: write it like 1.11.4, 1.11, `~> 1.9` or "
            "`>= 1.8, < 2`, or write latest or auto."
        )
    numbers = tuple(map(int, found["numbers"].split(".")))
    if max(numbers) > _LARGEST:
        raise WrongVersion(f"{text.strip()!r} is no version: one of its numbers is too large.")
    compares: Operator = found["operator"] or "="  # type: ignore[assignment]  # by the pattern
    return Constraint(compares, numbers, found["prerelease"] or "")
