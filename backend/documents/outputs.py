"""The outputs of a state document, found while it arrives or in its whole text.

They are kept as they are written, but not more than LARGEST bytes: an answer with all outputs stays
small, however large the document is.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from backend.documents import heading
from backend.documents.heading import TopLevel
from backend.documents.stream import GOES_ON, PIECE, HeadingReader

LARGEST = 1024 * 1024  # bytes of all outputs as text
MOST = 10_000  # outputs in one answer
NONE = b"{}"
_NULL = Raw(b"null")
_DIGITS = b"0123456789"


class Output(msgspec.Struct, frozen=True):
    """`value` and `type` are as written in the document."""

    value: Raw = _NULL
    type: Raw = _NULL
    sensitive: bool = False

    def masked(self) -> Output:
        """Without its value if it is sensitive."""
        return Output(_NULL, self.type, sensitive=True) if self.sensitive else self


_decoder = msgspec.json.Decoder(dict[str, Output])


def decode(text: bytes) -> dict[str, Output]:
    """The outputs. There are none if they are missing, or not in the form that terraform writes."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError:
        return {}


def in_document(document: bytes) -> bytes:
    """The text of the outputs of a valid document that is in memory."""
    found = heading.top_level(document, at_end=True).outputs
    return NONE if isinstance(found, msgspec.UnsetType) else _object(bytes(found))


class OutputsReader(HeadingReader):
    """Reads a heading, and keeps the text of the outputs. Of several the last ones count."""

    def __init__(self, piece: int = PIECE) -> None:
        super().__init__(piece)
        self._parts: list[bytes] = [NONE]
        self._size = 0
        self._is_open = False  # whether the text goes on in the next piece
        self._is_shortened = False  # whether a number may have lost digits

    @property
    def outputs(self) -> bytes | None:
        """Their text once everything is read.

        None if it is larger than LARGEST, or if a number in the document is longer than a piece.
        """
        if self._is_shortened or self._size > LARGEST:
            return None
        return b"".join(self._parts)

    def _checked(self, found: TopLevel, whole: bytes, start: int, end: int) -> None:
        if self._is_open and not isinstance(found.continued, msgspec.UnsetType):
            until = len(GOES_ON) + len(memoryview(found.continued))
            self._add(whole[start : min(until, end)])
            self._is_open = until > end
        if isinstance(found.outputs, msgspec.UnsetType):
            return
        text = _object(bytes(found.outputs))
        self._is_open = _goes_on(text, whole, end)
        closing = len(whole) - end - 1 if self._is_open else 0
        self._parts, self._size = [], 0
        self._add(text[: len(text) - closing])

    def _add(self, text: bytes) -> None:
        self._size += len(text)
        if self._size <= LARGEST:
            self._parts.append(text)

    def _dropped(self, at: int, dropped: bytes) -> None:  # noqa: ARG002
        self._is_shortened |= dropped.strip(_DIGITS) != dropped


def _object(text: bytes) -> bytes:
    return text if text.startswith(b"{") else NONE


def _goes_on(text: bytes, whole: bytes, end: int) -> bool:
    """Whether the object `text` is closed by the brackets that were added after the end only.

    The text of another value may be the same. So put a space before its last bracket, and look
    whether the outputs have got longer.
    """
    added = whole[end:]
    if not (added.endswith(b"}}") and whole.endswith(text + b"}")):
        return False
    spaced = heading.top_level(b"".join((whole[:-2], b" ", whole[-2:])), at_end=False)
    return bytes(spaced.outputs) != text  # type: ignore[arg-type]  # it is there, as before
