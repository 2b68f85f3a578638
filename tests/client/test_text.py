"""What commands print of text from elsewhere does nothing to a terminal."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from client.text import Harmless, harmless, printable

TITLE = "\x1b]0;owned\x07"
CLIPBOARD = "\x1b]52;c;ZXZpbA==\x07"


def streamed(text: bytes, cuts: list[int]) -> str:
    to = io.BytesIO()
    stream = Harmless(to)
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    for start, stop in pairwise(places):
        stream.write(text[start:stop])
    stream.finish()
    return to.getvalue().decode()


@given(st.binary(), st.lists(st.integers(0, 60)))
@example("é\u20ac\U0001f600\r\n\r\x1b[31m".encode(), [1, 3, 4, 7, 9, 10, 11])
@example(b"\xe2\x82", [1])
def test_no_control_character_of_a_log_reaches_the_terminal(text: bytes, cuts: list[int]) -> None:
    shown = streamed(text, cuts)

    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
    assert shown == streamed(text, []) == harmless(text.decode(errors="backslashreplace"))


@given(st.text())
def test_a_cell_of_a_table_is_one_printable_line(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, caf\xe9, \u4f60\u597d\tand a tab\n", None),
        ("\x1b[31mred", "\\x1b[31mred"),
        (TITLE, "\\x1b]0;owned\\x07"),
        (CLIPBOARD, "\\x1b]52;c;ZXZpbA==\\x07"),
        ("\x9b31m\x00", "\\x9b31m\\x00"),
        ("evil\rgood", "evil\\rgood"),
        ("windows\r\n", "windows\n"),
        ("\u202eback", "\\u202eback"),
    ],
)
def test_what_is_harmless_stays_and_the_rest_is_visible(text: str, shown: str | None) -> None:
    assert harmless(text) == (text if shown is None else shown)
    assert streamed(text.encode(), []) == (text if shown is None else shown)
