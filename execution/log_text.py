"""The text of a run's log that is not written yet.

Of a log that is too long the middle is left out: why a run failed is said at its end.
"""

from __future__ import annotations

import time

HEAD_BYTES = 60 << 20  # of the log of one claim
TAIL_BYTES = 4 << 20  # in memory until the end of the run
MARK_SECONDS = 0.1  # text that comes within it has the same time


class LogText:
    """`ready` is what can be written now, and `marks` are when its parts came; `clear` ends both.

    A mark is an offset in `ready` and a time of time.monotonic.
    """

    def __init__(self) -> None:
        self.ready = bytearray()
        self.marks: list[tuple[int, float]] = []
        self._room = HEAD_BYTES
        self._tail = bytearray()
        self._tail_marks: list[tuple[int, float]] = []
        self._left_out = 0

    def add(self, text: bytes) -> None:
        head, rest = text[: self._room], text[self._room :]
        if head:
            _mark(self.marks, len(self.ready), time.monotonic())
            self.ready += head
        self._room -= len(head)
        if rest:
            _mark(self._tail_marks, len(self._tail), time.monotonic())
            self._tail += rest
        if len(self._tail) > 2 * TAIL_BYTES:  # not with each piece: that would move all of it
            self._cut(len(self._tail) - TAIL_BYTES)

    def end(self) -> None:
        """Nothing more will be added."""
        if len(self._tail) > TAIL_BYTES:
            self._cut(len(self._tail) - TAIL_BYTES)
        if self._left_out:
            self._cut(self._tail.find(b"\n") + 1)  # the first line that is whole
            self.ready += b"\n... %d bytes of the log are left out here ...\n" % self._left_out
        self.marks += [(len(self.ready) + offset, at) for offset, at in self._tail_marks]
        self.ready += self._tail
        self._tail.clear()
        self._tail_marks.clear()
        self._left_out = 0

    def clear(self) -> None:
        """It was written."""
        self.ready.clear()
        self.marks.clear()

    def _cut(self, surplus: int) -> None:
        del self._tail[:surplus]
        self._left_out += surplus
        moved = [(max(0, offset - surplus), at) for offset, at in self._tail_marks]
        # of those that are at the beginning now, the last one is right
        self._tail_marks = [*dict(moved).items()]


def _mark(marks: list[tuple[int, float]], offset: int, at: float) -> None:
    if not marks or at - marks[-1][1] > MARK_SECONDS:
        marks.append((offset, at))
