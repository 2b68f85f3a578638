"""What planning left, cut into the pieces that are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from backend.runs.plans import PIECE_BYTES, Bundle


class PlanPieces:
    """A file for writing only, which hands over each piece with its number when it is full."""

    def __init__(self, store: Callable[[int, bytes], None]) -> None:
        self._store = store
        self._rest = bytearray()
        self._hash = hashlib.sha256()
        self._count = 0

    def write(self, text: bytes) -> int:
        self._hash.update(text)
        self._rest += text
        while len(self._rest) >= PIECE_BYTES:
            self._hand_over(PIECE_BYTES)
        return len(text)

    def end(self) -> Bundle:
        """Hand over the rest."""
        if self._rest:
            self._hand_over(len(self._rest))
        return Bundle(self._hash.hexdigest(), self._count)

    def _hand_over(self, size: int) -> None:
        self._store(self._count, bytes(self._rest[:size]))
        del self._rest[:size]
        self._count += 1
