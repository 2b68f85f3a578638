"""The text of a run's log that is not written yet.

Of a log that is too long the middle is left out: why a run failed is said at its end.
"""

from __future__ import annotations

HEAD_BYTES = 60 << 20  # of the log of one claim
TAIL_BYTES = 4 << 20  # in memory until the end of the run


class LogText:
    """`ready` is what can be written now; its reader clears it."""

    def __init__(self) -> None:
        self.ready = bytearray()
        self._room = HEAD_BYTES
        self._tail = bytearray()
        self._left_out = 0

    def add(self, text: bytes) -> None:
        head, rest = text[: self._room], text[self._room :]
        self.ready += head
        self._room -= len(head)
        self._tail += rest
        if len(self._tail) > 2 * TAIL_BYTES:  # not with each piece: that would move all of it
            self._cut()

    def end(self) -> None:
        """Nothing more will be added."""
        if len(self._tail) > TAIL_BYTES:
            self._cut()
        if self._left_out:
            at = self._tail.find(b"\n") + 1  # the first line that is whole
            left_out = self._left_out + at
            del self._tail[:at]
            self.ready += b"\n... %d bytes of the log are left out here ...\n" % left_out
        self.ready += self._tail
        self._tail.clear()
        self._left_out = 0

    def _cut(self) -> None:
        surplus = len(self._tail) - TAIL_BYTES
        del self._tail[:surplus]
        self._left_out += surplus
