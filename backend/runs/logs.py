"""A run's log: sealed pieces, by their offset in the clear text. Masked before it comes here."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.models import LogChunk, Run
from backend.runs.moves import Moved
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.sealing.keyring import Keyring

PIECE_BYTES = 256 * 1024


def append(db: Session, keyring: Keyring, run_id: str, epoch: int, text: bytes) -> None:
    """Add to the end of the log. Raises Moved when the run is no longer of this epoch."""
    for begin in range(0, len(text), PIECE_BYTES):
        _append_piece(db, keyring, run_id, epoch, text[begin : begin + PIECE_BYTES])


def _append_piece(db: Session, keyring: Keyring, run_id: str, epoch: int, piece: bytes) -> None:
    size = db.execute(
        update(Run)
        .where(Run.id == run_id, Run.epoch == epoch)
        .values(log_size=Run.log_size + len(piece))
        .returning(Run.log_size)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if size is None:
        raise Moved(f"The run {run_id} was taken from this worker.")
    start = size - len(piece)
    sealed = seal_value(keyring, piece, bindings.log(run_id, start))
    db.add(LogChunk(run_id=run_id, start=start, length=len(piece), sealed=sealed))


def read(db: Session, keyring: Keyring, run: Run, offset: int, limit: int) -> bytes:
    """At most `limit` bytes of the log from `offset` on. Raises Unreadable."""
    pieces = db.scalars(
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
    text = b"".join(open_value(keyring, p.sealed, bindings.log(run.id, p.start)) for p in pieces)
    skipped = offset - pieces[0].start
    return text[skipped : skipped + limit]
