"""The logs of runs: sealed pieces, by their offset in the clear text. Secrets are masked before.

A piece also has the moments when its parts came, as offsets in it with milliseconds since 1970.
They are no part of the text.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, select, update

from backend.db import now
from backend.models import LogChunk, Run
from backend.principal import REPORT
from backend.runs.claims import taken_away
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.transactions import Transaction

PIECE_BYTES = 256 * 1024
TAIL_BYTES = 1 << 20  # as far back the last lines are looked for

Marks = Sequence[tuple[int, float]]  # offsets in a text, with time.monotonic's moments


@dataclass(frozen=True)
class Piece:
    """A part of a log. `times` has offsets in the log with moments, in order."""

    start: int
    text: bytes
    times: Sequence[tuple[int, datetime]]


def append(tx: Transaction, text: bytes, marks: Marks = ()) -> None:
    """Append to the log of the run that calls it. Raises Moved when the run lost its claim."""
    if not _append(tx, text, marks, Run.epoch == tx.principal.run_epoch):
        raise taken_away(tx)


def append_late(tx: Transaction, text: bytes) -> None:
    """Append what the tool of a lost run said when nobody had heard it. Ignored for other runs."""
    lost = and_(Run.status == "lost", Run.epoch == (tx.principal.run_epoch or 0) + 1)
    _append(tx, text, (), lost)


def _append(tx: Transaction, text: bytes, marks: Marks, condition: ColumnElement[bool]) -> bool:
    """Append to the log of the calling run under this condition; whether that held."""
    tx.require(REPORT, tx.principal.project_id)
    return all(
        _append_piece(
            tx, text[begin : begin + PIECE_BYTES], _within(marks, begin, PIECE_BYTES), condition
        )
        for begin in range(0, len(text), PIECE_BYTES)
    )


def _within(marks: Marks, begin: int, length: int) -> Marks:
    """The marks of a part of the text, with offsets in it."""
    first = max(0, bisect_right([offset for offset, _ in marks], begin) - 1)
    return [(max(0, offset - begin), at) for offset, at in marks[first:] if offset < begin + length]


def _append_piece(
    tx: Transaction, piece: bytes, marks: Marks, condition: ColumnElement[bool]
) -> bool:
    run_id = tx.principal.run_id or ""
    written = tx.db.execute(
        update(Run)
        .where(Run.id == run_id, condition)
        .values(log_size=Run.log_size + len(piece))
        .returning(Run.log_size, now().label("at"))
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if written is None:
        return False
    start = written.log_size - len(piece)
    at, moment = written.at.timestamp(), time.monotonic()
    times = [[offset, round((at - moment + told) * 1000)] for offset, told in marks]
    sealed = seal_value(tx.keyring, piece, bindings.log(run_id, start))
    tx.db.add(
        LogChunk(run_id=run_id, start=start, length=len(piece), sealed=sealed, times=times or None)
    )
    return True


def read(tx: Transaction, run: Run, offset: int, limit: int) -> bytes:
    """At most `limit` bytes of the log from `offset` on. Raises Unreadable."""
    return b"".join(piece.text for piece in pieces(tx, run, offset, limit))


def pieces(tx: Transaction, run: Run, offset: int, limit: int) -> list[Piece]:
    """The same with the moments when its parts came. Raises Unreadable."""
    tx.require("runs:read", run.project_id)
    chunks = tx.db.scalars(
        select(LogChunk)
        .where(
            LogChunk.run_id == run.id,
            LogChunk.start < offset + limit,
            LogChunk.start + LogChunk.length > offset,
        )
        .order_by(LogChunk.start)
    )
    return [_piece(tx, chunk, offset, offset + limit) for chunk in chunks]


def _piece(tx: Transaction, chunk: LogChunk, begin: int, end: int) -> Piece:
    """What of a chunk is between these offsets."""
    text = open_value(tx.keyring, chunk.sealed, bindings.log(chunk.run_id, chunk.start))
    times = [
        (chunk.start + offset, datetime.fromtimestamp(at / 1000, UTC))
        for offset, at in chunk.times or ()
    ]
    start = max(begin, chunk.start)
    return Piece(start, text[start - chunk.start : end - chunk.start], times)


def stamped(tx: Transaction, run: Run, offset: int, limit: int) -> tuple[bytes, int]:
    """The same text with each line after its moment, where that is known; and how much it is."""
    before = pieces(tx, run, offset - 1, 1) if offset else []
    begins_line = not before or before[0].text == b"\n"
    shown: list[bytes] = []
    size = 0
    for piece in pieces(tx, run, offset, limit):
        shown += _stamped(piece, begins_line=begins_line)
        begins_line = piece.text.endswith(b"\n")
        size += len(piece.text)
    return b"".join(shown), size


def _stamped(piece: Piece, *, begins_line: bool) -> Iterator[bytes]:
    offsets = [offset for offset, _ in piece.times]
    at = piece.start
    for line in _lines(piece.text):
        known = bisect_right(offsets, at)
        if begins_line and known:
            moment = piece.times[known - 1][1].isoformat(timespec="milliseconds")
            yield moment.replace("+00:00", "Z ").encode()
        yield line
        at, begins_line = at + len(line), True


def _lines(text: bytes) -> Iterator[bytes]:
    """The lines with their ends. A carriage return ends none."""
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin) + 1 or len(text)
        yield text[begin:end]
        begin = end


def tail(tx: Transaction, run: Run, lines: int) -> int:
    """The offset of the last lines of the log, at most TAIL_BYTES before its end."""
    first = max(0, run.log_size - TAIL_BYTES)
    text = read(tx, run, first, run.log_size - first)
    end = len(text) - text.endswith(b"\n")
    for _ in range(lines):
        end = text.rfind(b"\n", 0, max(0, end))
        if end < 0:
            return first
    return first + end + 1
