"""Looking through large documents in a process of their own, within one budget of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from backend import apart
from backend.apart import Budget
from backend.documents import diff_process
from backend.errors import Invalid
from backend.transactions import Caller

MEMORY = Budget(seconds=20.0, refusal="Too many states are being looked through. Try again.")


@dataclass(frozen=True)
class Process:
    """A module that answers on its standard output. `too_much` says how much was not enough."""

    module: str
    cpu_seconds: int
    too_much: Callable[[int], Invalid]

    def answer(self, caller: Caller, size: int, pieces: Iterable[bytes]) -> bytes:
        """What it answers to the pieces, of `size` bytes together.

        Raises Invalid when it needs more than it may, and Unavailable when others take all of it.
        """
        memory, total = diff_process.memory_for(size), caller.here.settings.diff_memory_bytes
        if memory > total:
            raise self.too_much(total)
        with MEMORY.take(memory, total):
            try:
                return apart.run(self.module, pieces, memory=memory, seconds=self.cpu_seconds)
            except apart.Exceeded:
                raise self.too_much(memory) from None
