"""The outputs of a document are found while it arrives, however it is cut."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backend.documents import outputs
from backend.documents.outputs import LARGEST, OutputsReader

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=12)
VALUE = st.recursive(
    LEAVES | st.sampled_from(["outputs", '"outputs":{', "}}", "\\", "é"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["outputs", "", "a", '"outputsvalue']), inner)
    ),
    max_leaves=20,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    pairs = [("version", 4), *((f"k{n}", v) for n, v in enumerate(draw(st.lists(VALUE))))]
    pairs += [("outputs", draw(VALUE)) for _ in range(draw(st.integers(0, 2)))]
    written = [
        f"{json.dumps(name)}:{draw(written_as(v))}" for name, v in draw(st.permutations(pairs))
    ]
    return f"{{{','.join(written)}}}".encode()


def written_as(value: object) -> st.SearchStrategy[str]:
    indents = st.sampled_from([None, 0, 2])
    return indents.map(lambda indent: json.dumps(value, indent=indent, ensure_ascii=indent == 2))


def streamed(body: bytes, *, piece: int = 65_536, size: int = 65_536) -> bytes | None:
    reader = OutputsReader(piece)
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    reader.finish()
    return reader.outputs


@settings(max_examples=150)
@given(
    body=documents(),
    piece=st.sampled_from([1, 2, 7, 64, 65_536]),
    size=st.integers(1, 100),
)
@example(b'{"version":4,"outputs":{},"x":{"a":1}}', 1, 1)
@example(b'{"version":4,"outputs":{"a":{}},"outputs":{"b":{"":{}}}}', 1, 1)
@example(b'{"version":4,"x":{"outputs":{"no":1}},"outputs":{"yes":1}}', 7, 3)
def test_they_are_the_text_of_the_document(body: bytes, piece: int, size: int) -> None:
    assert streamed(body, piece=piece, size=size) == outputs.in_document(body)


def test_a_document_without_any_has_none() -> None:
    assert outputs.decode(streamed(b'{"version":4,"resources":[]}') or b"") == {}


@pytest.mark.parametrize("padding", [LARGEST - 100, 3 * LARGEST])
def test_more_than_the_limit_is_not_kept(padding: int) -> None:
    body = b'{"version":4,"outputs":{"x":{"value":"%s"}},"y":0}' % (b"x" * padding)

    found = streamed(body)

    assert (found is not None) == (padding < LARGEST)


def test_a_number_that_is_longer_than_a_piece_is_not_shown_shortened() -> None:
    body = b'{"version":4,"outputs":{"x":{"value":%s}}}' % (b"1" * 200_000)

    assert streamed(body) is None


def test_a_value_is_kept_as_it_is_written() -> None:
    text = b'{"x":{"value":1.50e400,"type":"number"},"y":{"value":"\\u0061","sensitive":true}}'

    found = outputs.decode(text)

    assert bytes(found["x"].value) == b"1.50e400"
    assert bytes(found["y"].masked().value) == b"null"


@pytest.mark.parametrize("text", [b'{"x":1}', b'{"x":{"sensitive":"yes"}}'])
def test_what_terraform_does_not_write_counts_as_none(text: bytes) -> None:
    assert outputs.decode(text) == {}
