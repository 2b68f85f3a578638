"""The logs of runs: sealed pieces, by their offset in the clear text. Secrets are masked before."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, select, update

from backend.models import LogChunk, Run
from backend.principal import REPORT
from backend.runs.claims import taken_away
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.transactions import Transaction

PIECE_BYTES = 256 * 1024


def append(tx: Transaction, text: bytes) -> None:
    """Append to the log of the run that calls it. Raises Moved when the run lost its claim."""
    if not _append(tx, text, Run.epoch == tx.principal.run_epoch):
        raise taken_away(tx)


def append_late(tx: Transaction, text: bytes) -> None:
    """Append what the tool of a lost run said when nobody had heard it. Ignored for other runs."""
    lost = and_(Run.status == "lost", Run.epoch == (tx.principal.run_epoch or 0) + 1)
    _append(tx, text, lost)


def _append(tx: Transaction, text: bytes, condition: ColumnElement[bool]) -> bool:
    """Append to the log of the calling run under this condition; whether that held."""
    tx.require(REPORT, tx.principal.project_id)
    pieces = [text[begin : begin + PIECE_BYTES] for begin in range(0, len(text), PIECE_BYTES)]
    return all(_append_piece(tx, tx.principal.run_id or "", piece, condition) for piece in pieces)


def _append_piece(
    tx: Transaction, run_id: str, piece: bytes, condition: ColumnElement[bool]
) -> bool:
    size = tx.db.execute(
        update(Run)
        .where(Run.id == run_id, condition)
        .values(log_size=Run.log_size + len(piece))
        .returning(Run.log_size)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if size is None:
        return False
    start = size - len(piece)
    sealed = seal_value(tx.keyring, piece, bindings.log(run_id, start))
    tx.db.add(LogChunk(run_id=run_id, start=start, length=len(piece), sealed=sealed))
    return True


def read(tx: Transaction, run: Run, offset: int, limit: int) -> bytes:
    """At most `limit` bytes of the log from `offset` on. Raises Unreadable."""
    tx.require("runs:read", run.project_id)
    pieces = tx.db.scalars(
        select(LogChunk)
        .where(
            LogChunk.run_id == run.id,
            LogChunk.start < offset + limit,
            LogChunk.start + LogChunk.length > offset,
        )
        .order_by(LogChunk.start)
    ).all()
    if not pieces:
        return b""
    text = b"".join(open_value(tx.keyring, p.sealed, bindings.log(run.id, p.start)) for p in pieces)
    skipped = offset - pieces[0].start
    return text[skipped : skipped + limit]
