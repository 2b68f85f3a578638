"""Fencing: refuse the writes of a run that was taken from its worker.

A worker that falls silent loses its run. Its epoch (the number of its claim) is then out of date,
and everything that it still sends is refused.
"""

from __future__ import annotations

from sqlalchemy import select

from backend.errors import Conflict
from backend.models import Run, of_claim
from backend.transactions import Transaction


def fence(tx: Transaction) -> None:
    """Check that the run of this principal still has its epoch. Raises Conflict."""
    principal = tx.principal
    if principal.run_id is None:
        return
    claim = of_claim(principal.run_id, principal.run_epoch)
    alive = tx.db.scalar(select(Run.id).where(claim).with_for_update(read=True))
    if alive is None:
        raise Conflict(
            "This run was taken from its worker, so its write is refused.", code="fenced"
        )
