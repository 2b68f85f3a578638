"""The process that compares two large documents: `python -m backend.documents.diff_process`.

It reads the length of the first document (8 bytes), that document and the other one, and writes the
difference, or the error, as JSON. It imports only what it needs, because it starts each time.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from backend.documents import diff
from backend.documents.diff import Diff
from backend.errors import Conflict, Error, Invalid

LENGTH = 8  # bytes
END = b"\0"  # as backend/apart.py wants it, which takes longer to import than most comparisons
CPU_SECONDS = 30
_KINDS: dict[str, type[Error]] = {"Conflict": Conflict, "Invalid": Invalid}


class _Answer(msgspec.Struct):
    """Either the difference, or the error with its kind."""

    found: Diff | None = None
    kind: str = ""
    message: str = ""
    code: str = ""
    facts: dict[str, Any] = {}


def memory_for(sizes: int) -> int:
    """The address space for documents of so many bytes together. Usual ones need half of it."""
    return 96_000_000 + 6 * sizes


def found_in(answer: bytes) -> Diff:
    """The difference in an answer of the process. Raises Conflict and Invalid."""
    told = msgspec.json.decode(answer, type=_Answer)
    if told.found is None:
        raise _KINDS[told.kind](told.message, code=told.code, **told.facts)
    return told.found


def main() -> None:
    length = int.from_bytes(sys.stdin.buffer.read(LENGTH), "big")
    before = sys.stdin.buffer.read(length)
    after = sys.stdin.buffer.read()
    try:
        answer = _Answer(found=diff.diff(before, after))
    except (Conflict, Invalid) as error:
        kind = next(name for name, known in _KINDS.items() if isinstance(error, known))
        answer = _Answer(None, kind, error.message, error.code, error.facts)
    sys.stdout.buffer.write(msgspec.json.encode(answer) + END)


if __name__ == "__main__":
    try:
        main()
    except (MemoryError, BrokenPipeError):
        sys.exit(1)  # the server knows what to say
