"""Questions about the resources in a state document. No answer contains what is secret."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Raw, Struct

from backend.documents import graph, secrecy, shapes
from backend.documents.graph import Graph, Node
from backend.documents.secrecy import HIDDEN, Mask
from backend.documents.shapes import Document, Instance, Resource, Unfit
from backend.errors import Conflict, Invalid

MAX_BYTES = 32_000_000
LONGEST = 10_000  # letters of one value that are shown
MOST_ATTRIBUTES = 500
MOST_NEIGHBOURS = 100
MOST_OUTPUTS = 500
_DIGITS = re.compile(r"([0-9]+)")


class Kind(Struct, frozen=True):
    """How many instances there are of a type."""

    type: str
    data: bool
    count: int


class Listed(Struct, frozen=True):
    """An instance of a resource or data source."""

    address: str
    module: str
    type: str
    data: bool
    provider: str
    status: str  # `tainted`, or nothing


class Listing(Struct, frozen=True, tag_field="is", tag=True):
    """`total` counts all instances, `matching` those that were asked for."""

    total: int
    matching: int
    kinds: list[Kind]
    items: list[Listed]


class Attribute(Struct, frozen=True):
    """`text` is HIDDEN if all of it is secret. `left_out` counts letters."""

    name: str
    text: str
    is_hidden: bool
    left_out: int = 0


class Detail(Struct, frozen=True, tag_field="is", tag=True):
    """An instance with its attributes; `found` is None if there is none with this address."""

    found: Listed | None = None
    attributes: list[Attribute] = []
    left_out: int = 0  # attributes
    needs: list[Node] = []
    needed_by: list[Node] = []
    neighbours_left_out: int = 0


class Named(Struct, frozen=True):
    name: str
    sensitive: bool


class Summary(Struct, frozen=True, tag_field="is", tag=True):
    """What is in a document."""

    total: int
    kinds: list[Kind]
    outputs: list[Named]
    outputs_left_out: int = 0


class Question(Protocol):
    def answer(self, document: Document) -> Answer: ...


class List(Struct, frozen=True, tag_field="is", tag=True):
    """Which instances have this text in their address, and this type; so many from a place on."""

    text: str = ""
    type: str = ""
    start: int = 0
    limit: int = 100

    def answer(self, document: Document) -> Listing:
        found = list(_listed(document))
        text = self.text.casefold()
        matching = [
            one
            for one in found
            if text in one.address.casefold() and (not self.type or _kind(one) == self.type)
        ]
        matching.sort(key=_place)
        shown = matching[self.start : self.start + self.limit]
        return Listing(len(found), len(matching), _kinds(found), shown)


class Show(Struct, frozen=True, tag_field="is", tag=True):
    """One instance, with its attributes, and what is next to it in the graph."""

    address: str

    def answer(self, document: Document) -> Detail:
        for whole, one in _instances(document):
            if shapes.address_of(whole, one) == self.address:
                return _detail(document, whole, one)
        return Detail()


class Sum(Struct, frozen=True, tag_field="is", tag=True):
    """How many instances of which types, and the names of the outputs."""

    def answer(self, document: Document) -> Summary:
        found = list(_listed(document))
        outputs = [
            Named(name, sensitive=shapes.output(text).sensitive)
            for name, text in sorted(shapes.outputs(document.outputs).items())
        ]
        beyond = max(0, len(outputs) - MOST_OUTPUTS)
        return Summary(len(found), _kinds(found), outputs[:MOST_OUTPUTS], beyond)


class Draw(Struct, frozen=True, tag_field="is", tag=True):
    """The graph."""

    def answer(self, document: Document) -> Graph:
        return graph.graph(document)


Asked = List | Show | Sum | Draw
Answer = Listing | Detail | Summary | Graph


def check_size(size: int) -> None:
    """Raises Invalid for a document that is too large to be looked through."""
    if size > MAX_BYTES:
        raise Invalid(
            f"The state has {size:,} bytes, and Stateroom looks through at most {MAX_BYTES:,}. "
            "Download it, and read it with `terraform show`.",
            code="state-too-large-to-show",
            limit_bytes=MAX_BYTES,
        )


def answer(question: Asked, text: bytes) -> Answer:
    """Raises Conflict for a document that OpenTofu encrypted, or that is no state of version 4."""
    try:
        return question.answer(shapes.read(text))
    except Unfit as reason:
        raise Conflict(
            f"The resources of this document cannot be read: {reason}.", code="state-not-readable"
        ) from None


def _instances(document: Document) -> Iterator[tuple[Resource, Instance]]:
    for text in document.resources:
        whole = shapes.resource(text)
        yield from ((whole, shapes.instance(part)) for part in whole.instances)


def _listed(document: Document) -> Iterator[Listed]:
    yield from (_one(whole, one) for whole, one in _instances(document))


def _one(whole: Resource, one: Instance) -> Listed:
    return Listed(
        shapes.address_of(whole, one),
        whole.module,
        whole.type,
        whole.is_data,
        _provider(whole.provider),
        one.status,
    )


def _provider(text: Raw) -> str:
    """`provider["registry.terraform.io/hashicorp/aws"].west` in the words of a configuration."""
    found = shapes.value(text)
    if not isinstance(found, str):
        return ""
    source, _, alias = found.rpartition('"]')
    name = source.rpartition('"')[2].removeprefix("registry.terraform.io/")
    return f"{name.removeprefix('registry.opentofu.org/')}{alias}" if source else found


def _kind(one: Listed) -> str:
    return f"data.{one.type}" if one.data else one.type


def _kinds(found: Sequence[Listed]) -> list[Kind]:
    counted = Counter((one.type, one.data) for one in found)
    return [
        Kind(kind, data, count)
        for (kind, data), count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]


def _place(one: Listed) -> tuple[Any, ...]:
    """By module, and as people count: `[2]` before `[10]`."""
    return _natural(one.module), one.data, _natural(one.address)


def _natural(text: str) -> list[tuple[int, str]]:
    parts = _DIGITS.split(text)
    return [
        (len(part.lstrip("0")) if place % 2 else 0, part.lstrip("0") if place % 2 else part)
        for place, part in enumerate(parts)
    ]


def _detail(document: Document, whole: Resource, one: Instance) -> Detail:
    attributes = list(_attributes(whole, one))
    drawn = graph.graph(document)
    here = {at for at, node in enumerate(drawn.nodes) if node.address == whole.address}
    needs = [drawn.nodes[to] for start, to in drawn.edges if start in here]
    needed_by = [drawn.nodes[start] for start, to in drawn.edges if to in here]
    beyond = max(0, len(needs) - MOST_NEIGHBOURS) + max(0, len(needed_by) - MOST_NEIGHBOURS)
    return Detail(
        _one(whole, one),
        attributes[:MOST_ATTRIBUTES],
        max(0, len(attributes) - MOST_ATTRIBUTES),
        needs[:MOST_NEIGHBOURS],
        needed_by[:MOST_NEIGHBOURS],
        beyond,
    )


def _attributes(whole: Resource, one: Instance) -> Iterator[Attribute]:
    mask = Mask(shapes.marked(one), everything=secrecy.is_telling(whole.type))
    for text in (one.attributes, one.attributes_flat):
        found = shapes.value(text)
        if isinstance(found, dict):
            yield from (_attribute(name, found[name], mask, found) for name in sorted(found))


def _attribute(name: str, value: Any, mask: Mask, beside: dict[str, Any]) -> Attribute:
    named = secrecy.names_a_secret(beside) and name not in secrecy.NAMES
    shown = HIDDEN if named and value is not None else mask.shown(value, (name,))
    if shown is HIDDEN:
        return Attribute(name, HIDDEN, is_hidden=True)
    text = shown if isinstance(shown, str) else _pretty(shown)
    return Attribute(name, text[:LONGEST], False, max(0, len(text) - LONGEST))


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
