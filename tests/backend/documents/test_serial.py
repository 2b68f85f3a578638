"""Replacing the serial of a document changes no other byte."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.documents.heading import read_heading
from backend.documents.serial import find_serial, with_serial

VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["serial", '"serial": 1', "\\", "é"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["serial", "a", '"serial', "version"]), inner, max_size=3)
    ),
    max_leaves=15,
)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    pairs = {f"k{n}": value for n, value in enumerate(draw(st.lists(VALUE, max_size=5)))}
    pairs |= {"version": 4, "serial": draw(st.none() | st.integers(0, 2**63 - 1))}
    order = draw(st.permutations(list(pairs)))
    return json.dumps(
        {name: pairs[name] for name in order},
        indent=draw(st.sampled_from([None, 0, 2, 70])),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([None, (",", ":"), (" , ", "\t:\r\n")])),
    ).encode()


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def lifted(body: bytes, serial: int, *, piece: int, size: int) -> bytes:
    heading, place = find_serial(cut(body, size), piece)
    assert heading == read_heading(body)
    assert place is not None
    new = b"".join(with_serial(cut(body, size), place, serial))
    assert new == body[: place.start] + str(serial).encode() + body[place.end :]
    return new


@settings(max_examples=200)
@given(
    body=documents(),
    serial=st.integers(0, 2**63 - 1),
    piece=st.sampled_from([1, 7, 64, 65_536]),
    size=st.integers(1, 100),
)
def test_only_the_serial_changes_wherever_it_stands_and_however_it_arrives(
    body: bytes, serial: int, piece: int, size: int
) -> None:
    new = lifted(body, serial, piece=piece, size=size)

    assert read_heading(new).serial == serial
    assert json.loads(new) == json.loads(body) | {"serial": serial}


def test_of_two_serials_the_one_that_counts_is_changed() -> None:
    body = b'{"version": 4, "serial": 1, "a": {"serial": 9}, "serial": 2}'

    assert lifted(body, 7, piece=64, size=100) == body.replace(b'"serial": 2', b'"serial": 7')


def test_a_long_row_of_blanks_before_the_serial_moves_nothing() -> None:
    body = b" " * 300 + b'{"version": 4,' + b" " * 500 + b'"serial":' + b" " * 300 + b"1}"

    assert lifted(body, 25, piece=16, size=11) == body[:-2] + b"25}"


@pytest.mark.parametrize(
    "body",
    [b'{"version": 4}', b'{"version": 4, "ser\\u0069al": 3}', b'{"version":4,"a":{"serial":1}}'],
)
def test_a_document_that_says_no_serial_plainly_has_no_place_for_one(body: bytes) -> None:
    _, place = find_serial([body])

    assert place is None
