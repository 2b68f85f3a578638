"""What depends on what in a state document: a graph of resources, without their attributes.

A state stores everything that an instance depends on, also by way of others. Edges that follow
from others are left out here, as in a picture that somebody draws.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from backend.documents import shapes
from backend.documents.shapes import Document, Resource

MOST_NODES = 5_000
MOST_EDGES = 20_000
_KEY = re.compile(r"\[(?:\"(?:[^\"\\]|\\.)*+\"|[0-9]+)\]")

Prefix = tuple[str, tuple[str, ...]]


class Node(Struct, frozen=True):
    """A resource or data source with all its instances."""

    address: str
    module: str
    type: str
    data: bool
    instances: int
    is_keyed: bool = False  # whether its instances have keys


class Graph(Struct, frozen=True, tag_field="is", tag=True):
    """An edge leads from a node to one that it depends on, both as places in `nodes`."""

    nodes: list[Node]
    edges: list[tuple[int, int]]
    left_out: int = 0  # nodes
    edges_left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Known:
    node: Node
    configured: str  # its address without the keys of modules, as dependencies name it
    steps: tuple[str, ...]  # its modules, from the outermost one, with their keys
    needs: frozenset[str]


def graph(document: Document) -> Graph:
    """The graph of a document. Raises Unfit."""
    known = sorted(_known(document), key=lambda one: (one.node.module, one.node.address))
    kept = known[:MOST_NODES]
    edges = sorted(_edges(kept))
    return Graph(
        nodes=[one.node for one in kept],
        edges=edges[:MOST_EDGES],
        left_out=len(known) - len(kept),
        edges_left_out=max(0, len(edges) - MOST_EDGES),
    )


def _known(document: Document) -> Iterator[_Known]:
    for text in document.resources:
        whole = shapes.resource(text)
        parts = [shapes.instance(part) for part in whole.instances]
        needs = frozenset(
            name for part in parts for name in _texts(shapes.value(part.dependencies))
        )
        keyed = any(part.index_key is not None for part in parts)
        node = Node(
            whole.address, whole.module, whole.type, whole.is_data, len(parts), is_keyed=keyed
        )
        yield _Known(node, _configured(whole), _steps(whole.module), needs)


def _texts(names: object) -> Iterator[str]:
    yield from (n for n in names if isinstance(n, str)) if isinstance(names, list) else ()


def _configured(whole: Resource) -> str:
    module = _KEY.sub("", whole.module)
    return f"{module}.{whole.local}" if module else whole.local


def _steps(module: str) -> tuple[str, ...]:
    """`module.a["b"].module.c` as its two steps. A dot inside a key parts nothing."""
    keys = iter(_KEY.findall(module))
    names = [name for name in _KEY.sub("\0", module).split(".") if name != "module"]
    return tuple(name.replace("\0", next(keys, "")) if "\0" in name else name for name in names)


def _edges(known: Sequence[_Known]) -> Iterator[tuple[int, int]]:
    """The edges that follow from no others. Sets of nodes are bits of numbers, as they are many."""
    order = _order(known)
    rank = {place: number for number, place in enumerate(order)}
    needed = _needed(known, rank)
    reached = [0] * len(order)
    for number, place in enumerate(order):
        left = needed[place] & ((1 << number) - 1)  # what is in a circle is cut there
        reached[number] = left
        while left:
            nearest = left.bit_length() - 1
            yield place, order[nearest]
            reached[number] |= reached[nearest]
            left &= ~(reached[nearest] | 1 << nearest)


def _order(known: Sequence[_Known]) -> list[int]:
    """The places of all nodes, each after those that it depends on."""
    needed = _needed(known, {place: place for place in range(len(known))})
    unseen = (1 << len(known)) - 1
    order: list[int] = []
    for start in range(len(known)):
        path = [start] if unseen >> start & 1 else []
        unseen &= ~(1 << start)
        while path:
            following = needed[path[-1]] & unseen
            if following:
                place = (following & -following).bit_length() - 1
                unseen &= ~(1 << place)
                path.append(place)
            else:
                order.append(path.pop())
    return order


def _needed(known: Sequence[_Known], numbers: dict[int, int]) -> list[int]:
    """What each node depends on, as bits of these numbers."""
    there: dict[Prefix, int] = defaultdict(int)
    for place, one in enumerate(known):
        for depth in range(len(one.steps) + 1):
            there[one.configured, one.steps[:depth]] |= 1 << numbers[place]
    nearest: dict[Prefix, int] = {}
    needed = []
    for place, one in enumerate(known):
        found = 0
        for name in one.needs:
            asked = name, one.steps
            if asked not in nearest:
                nearest[asked] = _nearest(name, one.steps, there)
            found |= nearest[asked]
        needed.append(found & ~(1 << numbers[place]))
    return needed


def _nearest(name: str, steps: tuple[str, ...], there: Mapping[Prefix, int]) -> int:
    """What a dependency means. Of several instances of a module those that are nearest.

    It names no keys: `module.a.x` is the one in `module.a["b"]` for what is in there too.
    """
    prefixes = ((name, steps[:depth]) for depth in range(len(steps), -1, -1))
    return next((there[prefix] for prefix in prefixes if prefix in there), 0)
