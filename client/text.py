"""Make text from elsewhere safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text on one line, with control characters shown as escapes."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
