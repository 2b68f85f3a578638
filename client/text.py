"""Text of others on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text in one line, with whatever could move a terminal's cursor shown as an escape."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
