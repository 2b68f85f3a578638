"""Find the serial in the bytes of a document, and replace it without changing any other byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from backend.documents.heading import Heading, fields_of
from backend.documents.stream import PIECE, HeadingReader

_CANDIDATE = re.compile(rb'"serial"[ \t\r\n]*:[ \t\r\n]*(null|-?[0-9]+)')


@dataclass(frozen=True, slots=True)
class SerialSpan:
    """The place of the serial in a document: the bytes from `start` to `end`."""

    start: int
    end: int


def find_serial(pieces: Iterable[bytes], piece: int = PIECE) -> tuple[Heading, SerialSpan | None]:
    """The heading of a document of any size, and the place of its serial.

    Keeps only a few pieces in memory. The place is None when there is no serial, or its key is
    written with escapes. Raises Invalid for anything but a state document.
    """
    reader = _SerialReader(piece)
    for part in pieces:
        reader.feed(part)
    return reader.finish(), reader.found


def with_serial(pieces: Iterable[bytes], place: SerialSpan, serial: int) -> Iterator[bytes]:
    """The document with another serial."""
    digits, at = str(serial).encode(), 0
    for piece in pieces:
        start = min(max(place.start - at, 0), len(piece))
        end = min(max(place.end - at, 0), len(piece))
        here = at <= place.start < at + len(piece)
        yield piece[:start] + (digits if here else b"") + piece[end:]
        at += len(piece)


class _SerialReader(HeadingReader):
    """Reads a heading and notes the place of its serial. Of several the last one counts."""

    def __init__(self, piece: int) -> None:
        super().__init__(piece)
        self.found: SerialSpan | None = None
        self._at = 0  # offset in the document of the text that is not checked yet
        self._gaps: list[tuple[int, int]] = []  # (offset in that text, bytes dropped there)

    def _check(self, before: bytes, text: bytes, after: bytes | None) -> None:
        super()._check(before, text, after)  # a wrong guess raises here
        if b'"serial"' in text and (inside := _serial_in(before, text, after)):
            self.found = SerialSpan(*map(self._in_document, inside.span(1)))
        self._at = self._in_document(len(text))
        self._gaps = [(at - len(text), count) for at, count in self._gaps if at > len(text)]

    def _dropped(self, at: int, dropped: bytes) -> None:
        if dropped:
            self._gaps.append((at, len(dropped)))

    def _in_document(self, at: int) -> int:
        return self._at + at + sum(count for gap, count in self._gaps if gap <= at)


def _serial_in(before: bytes, text: bytes, after: bytes | None) -> re.Match[bytes] | None:
    """The candidate that the parser takes for the serial, found by bisection."""
    candidates = list(_CANDIDATE.finditer(text))
    said = _said(before, text, after)
    if said is None or not candidates:
        return None
    first, last = 0, len(candidates)  # it is candidates[first:last], if it is one of them
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (
            (middle, last)
            if _is_among(candidates[middle:last], before, text, after, said)
            else (first, middle)
        )
    found = candidates[first]
    return found if _is_among([found], before, text, after, said) else None


def _is_among(
    candidates: Sequence[re.Match[bytes]],
    before: bytes,
    text: bytes,
    after: bytes | None,
    said: bytes,
) -> bool:
    """Whether the parser finds another serial after all of these were changed."""
    other = b"2" if said == b"1" else b"1"
    parts, at = [], 0
    for candidate in candidates:
        parts += [text[at : candidate.start(1)], other]
        at = candidate.end(1)
    return _said(before, b"".join((*parts, text[at:])), after) != said


def _said(before: bytes, text: bytes, after: bytes | None) -> bytes | None:
    whole = b"".join((before, text, after or b""))
    return fields_of(whole, at_end=after is None).get("serial")
