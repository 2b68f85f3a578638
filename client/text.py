"""Make text from elsewhere safe for a terminal: its control characters are shown as escapes.

Otherwise a commit's subject, a lock's `Who` or the output of a program could move the cursor,
replace what was printed before, set the title of the window or fill the clipboard.
"""

from __future__ import annotations

import codecs
import re
from typing import IO

_CONTROL = re.compile(r"[^\x20-\x7e\xa1-\xac\xae-\xff]")  # what needs a closer look
_KEPT = frozenset("\n\t")


def printable(text: str) -> str:
    """The text on one line, with control characters shown as escapes."""
    return _CONTROL.sub(lambda found: _shown(found[0], frozenset()), text)


def harmless(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return _CONTROL.sub(lambda found: _shown(found[0], _KEPT), text.replace("\r\n", "\n"))


class Harmless:
    """A stream of bytes for a terminal: `write` shows them as `harmless` does. `finish` ends it."""

    def __init__(self, to: IO[bytes]) -> None:
        self._to = to
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""  # a carriage return, which may be part of a line's end

    def write(self, piece: bytes) -> int:
        self._show(self._decoder.decode(piece))
        return len(piece)

    def flush(self) -> None:
        self._to.flush()

    def finish(self) -> None:
        """Show also what may have been half a character."""
        self._show(self._decoder.decode(b"", final=True), last=True)
        self._to.flush()

    def _show(self, text: str, *, last: bool = False) -> None:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") and not last else ""
        self._to.write(harmless(text.removesuffix(self._held)).encode())


def _shown(letter: str, kept: frozenset[str]) -> str:
    if letter in kept or letter.isprintable():
        return letter
    return letter.encode("unicode_escape").decode("ascii")
