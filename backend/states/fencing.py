"""A run that was taken from its worker changes nothing any more, however late it comes."""

from __future__ import annotations

from sqlalchemy import select

from backend.errors import Conflict
from backend.models import Run, of_claim
from backend.transactions import Transaction


def fence(tx: Transaction) -> None:
    """A run that lost its epoch writes nothing, however late it comes. Raises Conflict."""
    principal = tx.principal
    if principal.run_id is None:
        return
    claim = of_claim(principal.run_id, principal.run_epoch)
    alive = tx.db.scalar(select(Run.id).where(claim).with_for_update(read=True))
    if alive is None:
        raise Conflict(
            "This run was taken from its worker: its write came too late.", code="fenced"
        )
