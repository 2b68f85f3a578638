"""The difference of two state documents: by resource, attribute and output.

Most of the text of two versions is the same. Parts that are equal byte for byte are not decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from backend.documents import secrecy, shapes
from backend.documents.secrecy import HIDDEN, Mask, Path
from backend.documents.shapes import NOTHING, Document, Instance, Unfit
from backend.errors import Conflict, Invalid

MAX_BYTES = 32_000_000  # of each document; comparing takes a few times that in memory
LARGEST = 1024 * 1024  # bytes of a difference as JSON; what comes after them is left out
MOST = 5_000  # resources and outputs in a difference


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is different. `hidden` says that secret parts of it were left out.

    A value that is secret as a whole is HIDDEN. None stands for null and for a missing value.
    """

    path: str
    before: Any
    after: Any
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """An instance of a resource or data source. It has no `changes` if only one document has it."""

    address: str
    data: bool
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Diff:
    """`left_out` counts the resources and outputs that are not in the lists, as it is too large."""

    added: list[Resource]
    removed: list[Resource]
    changed: list[Resource]
    unchanged: int  # instances
    outputs: list[Change]
    left_out: int = 0


Entry = TypeVar("Entry", Change, Resource)


def check_size(size: int) -> None:
    """Raises Invalid for a document that is too large to be compared."""
    if size > MAX_BYTES:
        raise Invalid(
            f"The state has {size:,} bytes, and Stateroom compares at most {MAX_BYTES:,}. "
            "Download both versions to compare them.",
            code="diff-too-large",
            limit_bytes=MAX_BYTES,
        )


def diff(before: bytes, after: bytes) -> Diff:
    """Compare two documents. The result contains no secrets.

    Raises Conflict with `state-encrypted` for a document that OpenTofu encrypted, Conflict with
    `state-not-diffable` for one that is not a state of version 4, and Invalid above MAX_BYTES.
    """
    try:
        return _diff(before, after)
    except Unfit as reason:
        raise _not_diffable(str(reason)) from None
    except RecursionError:
        raise _not_diffable("it is nested too deeply") from None


def _diff(before: bytes, after: bytes) -> Diff:
    old, new = _read(before), _read(after)
    old_digests, new_digests = _digests(old), _digests(new)
    same = old_digests.keys() & new_digests.keys()
    olds = _instances(text for digest, text in old_digests.items() if digest not in same)
    news = _instances(text for digest, text in new_digests.items() if digest not in same)
    in_both = [_changed(olds[address], news[address]) for address in olds.keys() & news.keys()]
    changed = [resource for resource in in_both if resource.changes]
    unchanged = sum(len(shapes.resource(new_digests[digest]).instances) for digest in same)
    space = _Space()
    return Diff(
        outputs=space.fitting(_compare_outputs(old.outputs, new.outputs)),
        changed=space.fitting(_sorted(changed)),
        added=space.fitting(_sorted(news[at].alone() for at in news.keys() - olds.keys())),
        removed=space.fitting(_sorted(olds[at].alone() for at in olds.keys() - news.keys())),
        unchanged=unchanged + len(in_both) - len(changed),
        left_out=space.left_out,
    )


class _Space:
    """The space in an answer. What does not fit is counted."""

    def __init__(self) -> None:
        self._bytes, self._entries = LARGEST, MOST
        self.left_out = 0

    def fitting(self, entries: Iterable[Entry]) -> list[Entry]:
        fitting = []
        for entry in entries:
            size = len(msgspec.json.encode(entry)) if self._entries else 0
            if self._entries and size <= self._bytes:
                self._bytes -= size
                self._entries -= 1
                fitting.append(entry)
            else:
                self.left_out += 1
        return fitting


def _read(text: bytes) -> Document:
    check_size(len(text))
    return shapes.read(text)


def _not_diffable(reason: str) -> Conflict:
    return Conflict(f"The document cannot be compared: {reason}.", code="state-not-diffable")


@dataclass(frozen=True, slots=True)
class _Found:
    """An instance of a resource that differs between the documents."""

    address: str
    data: bool
    type: str
    instance: Instance
    text: Raw

    def alone(self) -> Resource:
        return Resource(self.address, self.data)


def _instances(resources: Iterable[Raw]) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for text in resources:
        whole = shapes.resource(text)
        for part in whole.instances:
            instance = shapes.instance(part)
            address = shapes.address_of(whole, instance)
            found[address] = _Found(address, whole.is_data, whole.type, instance, part)
    return found


def _digests(document: Document) -> dict[bytes, Raw]:
    return {hashlib.sha256(text).digest(): text for text in document.resources}


def _changed(old: _Found, new: _Found) -> Resource:
    changes = () if bytes(old.text) == bytes(new.text) else tuple(_compare(old, new))
    return Resource(new.address, new.data, changes)


def _sorted(resources: Iterable[Resource]) -> list[Resource]:
    return sorted(resources, key=lambda resource: resource.address)


def _compare(old: _Found, new: _Found) -> Iterator[Change]:
    before, after = old.instance, new.instance
    if before.status != after.status:
        yield Change("(status)", before.status or None, after.status or None)
    for name in ("attributes", "attributes_flat"):
        texts = getattr(before, name), getattr(after, name)
        if bytes(texts[0]) != bytes(texts[1]):
            mask = Mask(
                [*shapes.marked(before), *shapes.marked(after)],
                everything=secrecy.is_telling(new.type),
            )
            yield from _values(shapes.value(texts[0]), shapes.value(texts[1]), (), mask)


def _compare_outputs(before: Raw, after: Raw) -> Iterator[Change]:
    if bytes(before) == bytes(after):
        return
    olds, news = shapes.outputs(before), shapes.outputs(after)
    for name in sorted(olds.keys() | news.keys()):
        texts = olds.get(name, NOTHING), news.get(name, NOTHING)
        if bytes(texts[0]) != bytes(texts[1]):
            old, new = (shapes.output(t) if bytes(t) != b"null" else shapes.Output() for t in texts)
            mask = Mask(everything=old.sensitive or new.sensitive)
            yield from _values(old.value, new.value, (name,), mask)


def _values(before: Any, after: Any, path: Path, mask: Mask) -> Iterator[Change]:
    """The changes of the innermost values that are different."""
    if _same(before, after):
        return
    if path and mask.hides(path):
        yield _hidden(path, before, after)
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, path, mask)
    elif _is_pairwise(before, after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _values(old, new, (*path, index), mask)
    else:
        shown = mask.shown(before, path), mask.shown(after, path)
        yield Change(_text(path), *shown, hidden=any(map(_has_hidden, shown)))


def _objects(
    before: dict[str, Any], after: dict[str, Any], path: Path, mask: Mask
) -> Iterator[Change]:
    named = secrecy.names_a_secret(before) or secrecy.names_a_secret(after)
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if named and name not in secrecy.NAMES:
            if not _same(old, new):
                yield _hidden((*path, name), old, new)
        else:
            yield from _values(old, new, (*path, name), mask)


def _same(before: Any, after: Any) -> bool:
    """Whether two values are equal as JSON, where true is not 1."""
    if before is after:
        return True
    if before != after:
        return False
    return isinstance(before, str) or _json(before) == _json(after)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _is_pairwise(before: Any, after: Any) -> bool:
    """Whether these are lists that are better compared item by item."""
    if not (isinstance(before, list) and isinstance(after, list)) or len(before) != len(after):
        return False
    return any(isinstance(part, dict | list) for part in (*before, *after))


def _hidden(path: Path, before: Any, after: Any) -> Change:
    old, new = (None if value is None else HIDDEN for value in (before, after))
    return Change(_text(path), old, new, hidden=True)


def _has_hidden(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_hidden, value.values()))
    if isinstance(value, list):
        return any(map(_has_hidden, value))
    return value is HIDDEN


def _text(path: Path) -> str:
    """The path as people write it: `tags.Name`, `ingress[0].from_port`."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(parts).removeprefix(".")
