"""Addresses of modules and resources, to which a run is limited: `-target` and `-replace`.

They are checked before the run is queued, because both tools accept addresses that match nothing,
and plan nothing then. The grammar is that of both tools, without what only one of them accepts, and
without comments and spaces between the parts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backend.errors import Invalid

MOST = 100  # addresses
LONGEST = 1000  # characters of one
_TARGETED = ("plan", "apply", "destroy", "refresh", "drift")
_REPLACED = ("plan", "apply")
# what other things are named by: both tools would look for a resource of this type
_NO_RESOURCES = ("count", "each", "local", "output", "path", "resource", "self", "var")

_NAME = re.compile(r"[^\W\d][\w-]*")
_NUMBER = re.compile(r"(?:0|[1-9][0-9]{0,8})(?=\])")
_TEXT = re.compile(r'"(?:[^"\\]|\\(?:[nrt"\\]|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*"(?=\])')
_TEMPLATE = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")


def check(operation: str, targets: Sequence[str], replace: Sequence[str]) -> None:
    """Raise Invalid unless a run of this operation can have these addresses.

    `target-invalid` names the field, the index in it, and the position in the address, from 1.
    """
    if targets and operation not in _TARGETED:
        raise Invalid(f"{operation} moves a whole state: it has no targets.", code="target-useless")
    if replace and operation not in _REPLACED:
        raise Invalid(
            f"Only plan and apply can replace resources, not {operation}: the tools refuse it.",
            code="replace-useless",
        )
    for field, addresses in (("targets", targets), ("replace", replace)):
        if len(addresses) > MOST:
            raise Invalid(f"{field} has more than {MOST} addresses.", code="targets-too-many")
        for index, address in enumerate(addresses):
            _Reader(field, index, address).check()


class _Reader:
    """Reads one address from left to right."""

    def __init__(self, field: str, index: int, address: str) -> None:
        self._field, self._index, self._address = field, index, address
        self._at = 0

    def check(self) -> None:
        if len(self._address) > LONGEST:
            raise self._wrong(f"it is longer than {LONGEST} characters", LONGEST)
        for position, character in enumerate(self._address):
            if not character.isprintable():
                raise self._wrong(f"{character!a} cannot be in an address", position)
        word = self._name("the type of a resource, or module")
        while word == "module":
            self._part("the name of the module")
            self._key()
            if self._is_at_its_end():
                self._end_of_module()
                return
            word = self._part("the type of a resource, or module")
        self._resource(word)

    def _resource(self, word: str) -> None:
        if word in _NO_RESOURCES:
            raise self._wrong(
                f"{word} names no resource: begin with its type", self._at - len(word)
            )
        if word in ("data", "ephemeral"):
            if self._field == "replace":
                raise self._wrong("only a managed resource can be replaced", self._at - len(word))
            self._part("the type of the resource")
        self._part("the name of the resource")
        self._key()
        if not self._is_at_its_end():
            raise self._wrong("the address should end here", self._at)

    def _end_of_module(self) -> None:
        if self._field == "replace":
            raise self._wrong("a resource of the module should follow", self._at)

    def _part(self, what: str) -> str:
        if not self._address.startswith(".", self._at):
            raise self._wrong(f"a dot and {what} should follow", self._at)
        self._at += 1
        return self._name(what)

    def _name(self, what: str) -> str:
        found = _NAME.match(self._address, self._at)
        if found is None:
            raise self._wrong(f"there should be {what}", self._at)
        self._at = found.end()
        return found[0]

    def _key(self) -> None:
        """The key of an instance in brackets, if there is one."""
        if not self._address.startswith("[", self._at):
            return
        begin = self._at + 1
        found = _NUMBER.match(self._address, begin) or _TEXT.match(self._address, begin)
        if found is None:
            raise self._wrong('the brackets should have a whole number or a "text"', begin)
        if template := _TEMPLATE.search(found[0].replace("$${", "    ").replace("%%{", "    ")):
            raise self._wrong("write $${ or %%{ for this text", begin + template.start())
        self._at = found.end() + 1

    def _is_at_its_end(self) -> bool:
        return self._at == len(self._address)

    def _wrong(self, why: str, at: int) -> Invalid:
        shown = self._address if len(self._address) <= 80 else f"{self._address[:80]}…"
        return Invalid(
            f"{self._field}[{self._index}] is not the address of a resource"
            f"{' instance' if self._field == 'replace' else ' or module'}: at character {at + 1} "
            f"of {shown!r} {why}.",
            code="target-invalid",
            field=self._field,
            index=self._index,
            position=at + 1,
        )
