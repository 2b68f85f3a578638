"""Globs of the addresses of resources, as the rules of a template have them.

`*` is any text inside one name or one index key, and as the last part any resource of that module.
`**` is any number of modules, and at the end everything below. A name without an index key stands
for all instances, so that a `count` or `for_each` that is added later does not leave the glob.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

MAX_LENGTH = 500
_KEY = r'\[("(?:[^"\\]|\\.)*"|[^\]\["]+)\]'
_PART = re.compile(rf'([^.\[\]"\s]+)(?:{_KEY})?(\.|\Z)', re.DOTALL)
_MODES = ("data", "ephemeral")


@dataclass(frozen=True)
class Part:
    """One name of an address, with its index key as it is written there (quotes included)."""

    name: str
    key: str | None = None

    def matches(self, other: Part) -> bool:
        """Whether this part of a glob matches a part of an address."""
        if not _fits(other.name, self.name):
            return False
        return self.key is None or (other.key is not None and _fits(other.key, self.key))


_ANY_MODULES = Part("**")
_ANY_RESOURCE = Part("*")


@dataclass(frozen=True)
class Address:
    """The modules on the way to a resource, and the parts of its own address."""

    modules: tuple[Part, ...]
    resource: tuple[Part, ...]  # TYPE.NAME, or data.TYPE.NAME


@dataclass(frozen=True)
class Glob:
    """A glob of addresses. Without parts of a resource it has everything in its modules."""

    text: str
    modules: tuple[Part, ...]
    resource: tuple[Part, ...]

    def matches(self, address: str) -> bool:
        """Whether it has this address. It has each that cannot be read: nothing slips through."""
        found = _address(address)
        return found is None or (self._leads_to(found.modules) and self._has(found.resource))

    def _has(self, resource: tuple[Part, ...]) -> bool:
        if self.resource in ((), (_ANY_RESOURCE,)):
            return True
        if len(self.resource) != len(resource):
            return False
        return all(mine.matches(its) for mine, its in zip(self.resource, resource, strict=True))

    def _leads_to(self, modules: tuple[Part, ...]) -> bool:
        reached = self._past_any({0})
        for module in modules:
            stays = {at for at in reached if self._is_any(at)}
            goes = {at + 1 for at in reached - stays if self._has_module(at, module)}
            reached = self._past_any(stays | goes)
        return len(self.modules) in reached

    def _past_any(self, reached: set[int]) -> set[int]:
        """These places in `modules`, and those behind a `**`, which may be no module at all."""
        found = set(reached)
        for at in range(len(self.modules)):
            if at in found and self._is_any(at):
                found.add(at + 1)
        return found

    def _is_any(self, at: int) -> bool:
        return at < len(self.modules) and self.modules[at] == _ANY_MODULES

    def _has_module(self, at: int, module: Part) -> bool:
        return at < len(self.modules) and self.modules[at].matches(module)


@lru_cache(maxsize=4096)
def glob(text: str) -> Glob:
    """Read a glob. Raises ValueError, which says what to write instead."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a glob has at most {MAX_LENGTH} characters")
    parts = _parts(text)
    if parts is None:
        raise ValueError(
            f"{text!r} is no glob of addresses: write it like aws_db_instance.*, "
            'aws_db_instance.main["a"], module.prod.** or **.aws_kms_key.*'
        )
    modules, rest = _modules(parts)
    _check(text, modules, rest)
    return Glob(text, tuple(modules), tuple(rest))


def _check(text: str, modules: list[Part], rest: list[Part]) -> None:
    """Raise ValueError for what would silently match nothing."""
    for part in [*modules, *rest]:
        if part is not _ANY_MODULES and "**" in f"{part.name}{part.key}":
            raise ValueError(f"** stands alone between two dots: {text!r} has it inside of a name")
        if "?" in part.name:
            raise ValueError(f"{text!r} has a ?, which no address has: * is any text")
    if not rest and modules[-1] is _ANY_MODULES:
        return
    if not rest:
        raise ValueError(f"{text!r} is a module: {text}.** is everything in it")
    named = rest[1:] if len(rest) == 3 and rest[0].name in _MODES else rest
    if named[0].key is not None or (named != [_ANY_RESOURCE] and len(named) != 2):
        raise ValueError(
            f"{text!r} ends in no resource: it ends in TYPE.NAME, data.TYPE.NAME, * (any resource "
            "of that module) or ** (everything below). Modules are written module.NAME, and ** "
            "is any number of them"
        )


def _modules(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """The modules at the beginning of an address or a glob, and what is behind them."""
    modules: list[Part] = []
    at = 0
    while at < len(parts):
        if parts[at] == _ANY_MODULES:
            if modules[-1:] != [_ANY_MODULES]:  # two in a row are one
                modules.append(_ANY_MODULES)
            at += 1
        elif parts[at] == Part("module") and parts[at + 1 : at + 2] not in ([], [_ANY_MODULES]):
            modules.append(parts[at + 1])
            at += 2
        else:
            break
    return modules, parts[at:]


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    parts = _parts(text)
    if parts is None:
        return None
    modules, resource = _modules(parts)
    return Address(tuple(modules), tuple(resource)) if len(resource) in (2, 3) else None


def _parts(text: str) -> list[Part] | None:
    parts, at, more = [], 0, True
    while more:
        found = _PART.match(text, at)
        if found is None:
            return None
        parts.append(Part(found[1], found[2]))
        at, more = found.end(), found[3] == "."
    return parts


def _fits(text: str, pattern: str) -> bool:
    if "*" not in pattern:
        return text == pattern
    return fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))
