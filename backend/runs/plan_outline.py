"""The resources of a plan as a tree of modules, filtered and in pages, without their values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backend.runs.plan_index import Head, Index

PAGE = 250  # resources
_MODULE = re.compile(r'module\.[^.\[]+(?:\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\])?\.')
_RANKS = {"delete": 0, "replace": 1}

# what a filter has, by its name
FILTERS: Mapping[str, Callable[[Head], bool]] = {
    "destroys": lambda head: head.action in _RANKS,
    "replacements": lambda head: head.action == "replace",
    "creates": lambda head: head.action == "create",
    "updates": lambda head: head.action == "update",
    "reads": lambda head: head.action == "read",
    "forgets": lambda head: head.action == "forget",
    "imports": lambda head: head.imports,
    "moves": lambda head: head.moves,
}


@dataclass(frozen=True)
class Row:
    """A resource that changes: its position in the plan, and its address within its module."""

    position: int
    head: Head
    modules: tuple[str, ...]
    name: str


@dataclass
class Module:
    """The root of a plan, or a module. `counts` are those of the whole plan, by actions."""

    name: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    rows: list[Row] = field(default_factory=list)
    modules: dict[str, Module] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """How soon it comes when what is destroyed comes first."""
        return min((_rank(action) for action in self.counts), default=2)

    @property
    def destroys(self) -> bool:
        return self.rank < 2


@dataclass(frozen=True)
class Wanted:
    """Which resources are seen: with an action of FILTERS, and with a text in their addresses."""

    action: str = ""
    text: str = ""
    offset: int = 0
    limit: int = PAGE

    @property
    def is_part(self) -> bool:
        return bool(self.action or self.text)


@dataclass(frozen=True)
class Outline:
    """A page of the tree. `found` are all that are wanted; `counts` has how many each filter has.

    `next_offset` is None on the last page.
    """

    root: Module
    rows: Sequence[Row]
    found: int
    counts: Mapping[str, int]
    next_offset: int | None


def of(index: Index, wanted: Wanted) -> Outline:
    """What is destroyed comes first in its module, and with a filter such modules do too."""
    changes = [(at, head) for at, head in enumerate(index.heads) if head.is_change]
    whole = _tree(_row(at, head) for at, head in changes if _is_wanted(head, wanted))
    ordered = list(_flat(whole, by_rank=wanted.is_part))
    end = wanted.offset + wanted.limit
    shown = ordered[wanted.offset : end]
    root = _tree(shown)
    _count(root, whole)
    return Outline(
        root=root,
        rows=shown,
        found=len(ordered),
        counts=_counts(head for _, head in changes),
        next_offset=end if end < len(ordered) else None,
    )


def split(address: str) -> tuple[tuple[str, ...], str]:
    """The modules on the way to a resource, and the rest of its address."""
    modules: list[str] = []
    at = 0
    while found := _MODULE.match(address, at):
        modules.append(found[0][:-1])
        at = found.end()
    return tuple(modules), address[at:]


def _row(position: int, head: Head) -> Row:
    modules, name = split(head.address)
    return Row(position, head, modules, name)


def _is_wanted(head: Head, wanted: Wanted) -> bool:
    if wanted.action and not FILTERS[wanted.action](head):
        return False
    return not wanted.text or wanted.text.casefold() in head.address.casefold()


def _counts(heads: Iterable[Head]) -> Mapping[str, int]:
    """How many each filter has. There are few kinds of heads, and each is asked about once."""
    examples: dict[tuple[str, bool, bool], Head] = {}
    kinds: Counter[tuple[str, bool, bool]] = Counter()
    for head in heads:
        kind = head.action, head.imports, head.moves
        examples[kind] = head
        kinds[kind] += 1
    return {
        name: sum(count for kind, count in kinds.items() if has(examples[kind]))
        for name, has in FILTERS.items()
    }


def _tree(rows: Iterable[Row]) -> Module:
    root = Module()
    for row in rows:
        at = root
        at.counts[row.head.action] += 1
        for name in row.modules:
            inner = at.modules.get(name)
            if inner is None:
                inner = at.modules[name] = Module(name)
            at = inner
            at.counts[row.head.action] += 1
        at.rows.append(row)
    return root


def _flat(module: Module, *, by_rank: bool) -> Iterator[Row]:
    yield from sorted(module.rows, key=lambda row: _rank(row.head.action))
    inner: Iterable[Module] = module.modules.values()
    for one in sorted(inner, key=lambda one: one.rank) if by_rank else inner:
        yield from _flat(one, by_rank=by_rank)


def _count(module: Module, whole: Module) -> None:
    module.counts = whole.counts
    for name, one in module.modules.items():
        _count(one, whole.modules[name])


def _rank(action: str) -> int:
    return _RANKS.get(action, 2)
