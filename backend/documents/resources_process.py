"""The process that looks through a large document: `python -m backend.documents.resources_process`.

It reads the length of the question (8 bytes), the question as JSON and the document, and writes the
answer, or the error, as JSON.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from backend.documents import resources
from backend.documents.resources import Answer, Asked
from backend.errors import Conflict

LENGTH = 8  # bytes
END = b"\0"  # as backend/apart.py wants it
CPU_SECONDS = 20


class _Told(msgspec.Struct):
    """Either the answer, or a Conflict."""

    found: Answer | None = None
    message: str = ""
    code: str = ""
    facts: dict[str, Any] = {}


def heading(question: Asked) -> bytes:
    """What is sent before the document."""
    text = msgspec.json.encode(question)
    return len(text).to_bytes(LENGTH, "big") + text


def found_in(answer: bytes) -> Answer:
    """The answer of the process. Raises Conflict."""
    told = msgspec.json.decode(answer, type=_Told)
    if told.found is None:
        raise Conflict(told.message, code=told.code, **told.facts)
    return told.found


def main() -> None:
    length = int.from_bytes(sys.stdin.buffer.read(LENGTH), "big")
    question: Asked = msgspec.json.decode(sys.stdin.buffer.read(length), type=Asked)
    try:
        told = _Told(resources.answer(question, sys.stdin.buffer.read()))
    except Conflict as error:
        told = _Told(None, error.message, error.code, error.facts)
    sys.stdout.buffer.write(msgspec.json.encode(told) + END)


if __name__ == "__main__":
    try:
        main()
    except (MemoryError, BrokenPipeError):
        sys.exit(1)  # the server knows what to say
