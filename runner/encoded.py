"""Find encoded secrets in a text: base64 and hex, with anything before and after them, and wrapped.

What the base64 of a text with a secret in it has at its place depends on the secret and on where it
begins (three alignments). So every piece of eight characters or more of these codes is found, at
whatever column the lines are broken, and with the prefix that terraform puts before each line that
a provisioner prints. Of a code that is shorter than eight characters nothing is found here, and of
a line only what has three characters or more of it.
"""

from __future__ import annotations

import base64
import re
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain

SHORTEST = 8  # a piece of a code
_GRAM = 4  # characters that are looked up
_STRIDE = SHORTEST - _GRAM + 1  # of any 8 characters in a row, 4 begin at a multiple of it
_LOOKED_UP = struct.Struct(f">I{_STRIDE - _GRAM}x").iter_unpack
_ONE = 1
_AT_AN_END = 3  # characters before the end of a line that count as a part of a code
_PREFIX = 200  # the longest prefix of a line
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BREAK = re.compile(rb"(?:\r?\n|\r)[ \t]*")
_PREFIXED = re.compile(rb"(?:\r?\n|\r)(?:[^\r\n]{0,200}?\((?:local|remote)-exec\): |[ \t]*)")
_EXEC = b"-exec): "


class Codes:
    """The codes of all secrets, as the sorted numbers of all their pieces of eight characters."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        codes = {code for secret in secrets for code in _codes(secret) if len(code) >= SHORTEST}
        self._pieces = array("Q", sorted(set(chain.from_iterable(map(_pieces, codes)))))
        self._grams = set(chain.from_iterable(map(_grams, codes)))
        self._last = b"", _Lines(b"")

    def matches(self, text: bytes) -> Iterator[tuple[int, int]]:
        """The places of pieces of codes, in order, which may overlap."""
        if not self._grams:
            return
        lines = self._lines(text)
        joined, grams, checked = lines.joined, self._grams, 0
        whole = len(joined) // _STRIDE * _STRIDE
        found = [at for at, gram in enumerate(_LOOKED_UP(joined[:whole])) if gram[0] in grams]
        for at in (*(at * _STRIDE for at in found), whole):
            last = min(at, len(joined) - SHORTEST)
            for start in range(max(checked, at + _GRAM - SHORTEST), last + 1):
                end = start + SHORTEST
                if self._has(joined[start:end], _ONE) and lines.counts(start, end):
                    yield lines.place(start, end)
            checked = at + 1

    def undecided(self, text: bytes) -> int:
        """The start of the longest end of the text that may be the beginning of a piece."""
        if not self._grams or not text:
            return len(text)
        lines = self._lines(text)
        whole, last = len(lines.joined), lines.starts[-1]
        places = [self._beginning(lines, whole)]
        if last < whole <= last + _PREFIX:  # the last line may be the beginning of a prefix
            places.append(self._beginning(lines, last))
        found = min((place for place in places if place is not None), default=None)
        return len(text) if found is None else lines.raw(found)

    def _lines(self, text: bytes) -> _Lines:
        if text is not self._last[0]:
            self._last = text, _Lines(text)
        return self._last[1]

    def _beginning(self, lines: _Lines, end: int) -> int | None:
        """Where a piece may begin that goes on after this end of a part of the joined text."""
        for start in range(max(0, end - SHORTEST + 1), end):
            rest = SHORTEST - (end - start)
            beginning = lines.joined[start:end] + bytes(rest)
            if self._has(beginning, 1 << 8 * rest) and lines.counts(start, end + 1):
                return start
        return None

    def _has(self, characters: bytes, span: int) -> bool:
        """Whether a piece has a number from that of these eight characters on, within the span."""
        number = int.from_bytes(characters)
        place = bisect_left(self._pieces, number)
        return place < len(self._pieces) and self._pieces[place] < number + span


class _Lines:
    """A text without its line breaks, and where each line was."""

    def __init__(self, text: bytes) -> None:
        pattern = _PREFIXED if _EXEC in text else _BREAK
        ends = [(found.start(), found.end()) for found in pattern.finditer(text)]
        self._places = [0, *(end for _, end in ends)]
        stops = [*(start for start, _ in ends), len(text)]
        lines = [text[a:b] for a, b in zip(self._places, stops, strict=True)]
        self.joined = b"".join(lines).translate(_URL_SAFE)
        self.starts = [0, *accumulate(map(len, lines[:-1]))]  # of each line in the joined text

    def raw(self, at: int) -> int:
        """Where a character of the joined text is in the text."""
        line = bisect_right(self.starts, at) - 1
        return self._places[line] + at - self.starts[line]

    def place(self, start: int, end: int) -> tuple[int, int]:
        return self.raw(start), self.raw(end - 1) + 1

    def counts(self, start: int, end: int) -> bool:
        """Whether this part has enough characters before the first line break in it."""
        line = bisect_right(self.starts, start)
        if line == len(self.starts) or self.starts[line] >= end:
            return True
        return self.starts[line] - start >= _AT_AN_END


def _pieces(code: bytes) -> Iterator[int]:
    return (int.from_bytes(code[at : at + SHORTEST]) for at in range(len(code) - SHORTEST + 1))


def _grams(code: bytes) -> Iterator[int]:
    return (int.from_bytes(code[at : at + _GRAM]) for at in range(len(code) - _GRAM + 1))


def _codes(secret: bytes) -> Iterator[bytes]:
    """What depends on the secret alone, whatever is before and after it."""
    for before in range(3):
        code = base64.b64encode(bytes(before) + secret)
        yield code[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
