"""What a plan says, as it is kept: an index of all resources, and pages with their values.

The runner has hidden what is sensitive before. One page is read without opening the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any, Literal

import msgspec
from msgspec import Struct

from backend.paging import DEFAULT_LIMIT

Kind = Literal["index", "outputs", "drift", "page", "json"]


class Head(Struct, frozen=True, array_like=True):
    """One resource: what is filtered by, and its place."""

    address: str
    type: str
    action: str
    imports: bool
    moves: bool
    is_change: bool
    page: int
    place: int  # on its page


class Index(Struct, frozen=True):
    summary: Mapping[str, int]
    has_changes: bool
    heads: Sequence[Head]
    invocations: Sequence[Mapping[str, Any]]
    outputs_left_out: int  # that are too many to be kept
    drift_left_out: int
    values_left_out: int  # resources whose values are too much to be kept
    json_bytes: int
    json_pieces: int  # 0: it is too large to be kept


@dataclass(frozen=True)
class Wanted:
    """Which resources: all that change, if nothing else is said."""

    action: str | None = None
    type: str | None = None
    address: str | None = None  # a pattern with * or ?, or a part of the address
    changed: bool = True
    cursor: str | None = None
    limit: int = DEFAULT_LIMIT


def read_index(content: bytes) -> Index:
    return msgspec.json.decode(content, type=Index)


def chosen(index: Index, wanted: Wanted, after: int) -> list[tuple[int, Head]]:
    """The first resources after this position, with their positions: one more than asked for."""
    found = []
    fits = _matcher(wanted.address)
    for position in range(after + 1, len(index.heads)):
        head = index.heads[position]
        if _is_wanted(head, wanted) and fits(head.address):
            found.append((position, head))
            if len(found) > wanted.limit:
                break
    return found


def items(pages: Mapping[int, bytes], heads: Sequence[Head]) -> Iterator[msgspec.Raw]:
    """The resources of these heads, as they were encoded."""
    read: dict[int, list[msgspec.Raw]] = {}
    for head in heads:
        if head.page not in read:
            read[head.page] = msgspec.json.decode(pages[head.page], type=list[msgspec.Raw])
        yield read[head.page][head.place]


def _is_wanted(head: Head, wanted: Wanted) -> bool:
    if wanted.changed and not head.is_change:
        return False
    if wanted.type is not None and head.type != wanted.type:
        return False
    actions = {head.action, *(["import"] * head.imports), *(["move"] * head.moves)}
    return wanted.action is None or wanted.action in actions


def _matcher(pattern: str | None) -> Callable[[str], object]:
    if not pattern:
        return lambda _: True
    if "*" not in pattern and "?" not in pattern:
        return lambda address: pattern in address
    # a bracket is a part of an address, and not a set of letters
    return re.compile(translate(pattern.replace("[", "[[]"))).match
