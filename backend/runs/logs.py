"""The logs of runs: sealed pieces, by their offset in the clear text. Secrets are masked before."""

from __future__ import annotations

from sqlalchemy import select, update

from backend.models import LogChunk, Run
from backend.principal import REPORT
from backend.runs.claims import taken_away
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.transactions import Transaction

PIECE_BYTES = 256 * 1024


def append(tx: Transaction, text: bytes) -> None:
    """Append to the log of the run that calls it. Raises Moved when the run lost its claim."""
    tx.require(REPORT, tx.principal.project_id)
    for begin in range(0, len(text), PIECE_BYTES):
        _append_piece(tx, tx.principal.run_id or "", text[begin : begin + PIECE_BYTES])


def _append_piece(tx: Transaction, run_id: str, piece: bytes) -> None:
    size = tx.db.execute(
        update(Run)
        .where(Run.id == run_id, Run.epoch == tx.principal.run_epoch)
        .values(log_size=Run.log_size + len(piece))
        .returning(Run.log_size)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if size is None:
        raise taken_away(tx)
    start = size - len(piece)
    sealed = seal_value(tx.keyring, piece, bindings.log(run_id, start))
    tx.db.add(LogChunk(run_id=run_id, start=start, length=len(piece), sealed=sealed))


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
