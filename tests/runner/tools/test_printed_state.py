"""The state that a tool prints is taken out of what it says, however that comes."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.tools.printed_state import PrintedState

DOCUMENT = json.dumps(
    {"version": 4, "serial": 3, "resources": [{"text": 'of "}" and\n}\n'}]}, indent=2
).encode()
ON_ONE_LINE = json.dumps(json.loads(DOCUMENT), separators=(",", ":")).encode()
ENCRYPTED = b'{"serial":3,"lineage":"l","encrypted_data":"abc"}'


def passed(said: bytes, sizes: list[int], limit: int = 10_000) -> tuple[bytes, bytes | None]:
    """What is passed on of it, and the document, when it comes in pieces of these sizes."""
    printed = PrintedState(limit)
    shown, rest = b"", said
    for size in sizes:
        shown += printed.feed(rest[:size])
        rest = rest[size:]
    shown += printed.feed(rest) + printed.flush()
    with printed.taken() as document:
        return shown, None if document is None else document.read()


@pytest.mark.parametrize("document", [DOCUMENT, ON_ONE_LINE, ENCRYPTED])
@given(sizes=st.lists(st.integers(1, 40)))
def test_the_document_is_taken_out_whatever_the_pieces_are(
    document: bytes, sizes: list[int]
) -> None:
    said = b"a: Creating...\n{\n  not it\n" + document + b"\n\nError: Failed to save state\n"

    shown, taken = passed(said, sizes)

    assert taken is not None
    assert taken.rstrip() == document
    assert shown.startswith(b"a: Creating...\n{\n  not it\n")
    assert shown.endswith(b"Error: Failed to save state\n")
    assert b"serial" not in shown


@given(said=st.binary(), sizes=st.lists(st.integers(1, 5)))
def test_everything_else_is_passed_on_as_it_is(said: bytes, sizes: list[int]) -> None:
    assume(b'"version":' not in said and b'"serial":' not in said)  # it tries what it finds in code

    assert passed(said, sizes) == (said, None)


def test_what_does_not_begin_a_line_is_no_document() -> None:
    said = b"x (local-exec): " + DOCUMENT + b"\n"

    assert passed(said, [7, 16, 3]) == (said, None)


def test_a_document_that_is_cut_off_is_taken_as_far_as_it_came() -> None:
    shown, taken = passed(b"\n" + DOCUMENT[:-1], [5])

    assert taken == DOCUMENT[:-1]
    assert b"serial" not in shown


def test_of_two_documents_the_last_one_counts() -> None:
    _, taken = passed(ENCRYPTED + b"\n" + DOCUMENT + b"\n", [])

    assert taken == DOCUMENT + b"\n"


def test_a_document_that_is_too_large_is_neither_kept_nor_shown() -> None:
    shown, taken = passed(b"before\n" + DOCUMENT + b"\nafter\n", [30, 8], limit=50)

    assert taken is None
    assert b"serial" not in shown
    assert shown.endswith(b"after\n")
