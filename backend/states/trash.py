"""Deleting a state, restoring it, and purging it for good.

The address of a purged state still answers 410. A 404 would tell terraform that there is no state
yet, and its next plan would create everything again. Only an import into it, or deleting the
workspace, ends that.
"""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute, now
from backend.errors import Conflict, Gone
from backend.models import RescuedWrite, State, StateVersion
from backend.states import fencing, locks, refusals, retention
from backend.transactions import Transaction


def delete(tx: Transaction, state: State) -> None:
    """Delete the state; a person can restore it. Raises Locked, or Conflict when frozen."""
    tx.require("state:delete", state.project_id)
    fencing.fence(tx)
    lock = locks.for_update(tx, state)
    if lock.held:
        raise locks.locked(lock)
    if refusal := refusals.frozen(state.workspace):
        raise refusal.as_conflict()
    if state.deleted_at is None:
        state.deleted_at = tx.db.scalar(select(now()))
        audit.record(tx, "state.delete", state.id, project_id=state.project_id)


def undelete(tx: Transaction, state: State) -> None:
    """Restore a deleted state as it was. Harmless when it is not deleted. Raises Gone if purged."""
    tx.require("state:delete", state.project_id)
    locks.for_update(tx, state)
    if is_purged(tx.db, state):
        raise Gone(
            "This state was purged and cannot be restored. Import a document to begin again.",
            code="state-purged",
        )
    if state.deleted_at is not None:
        revive(tx, state)


def revive(tx: Transaction, state: State) -> None:
    """Serve the state at its address again. The caller holds the lock's row."""
    tx.require_any(("state:delete", "state:write"), state.project_id)
    state.deleted_at = None
    audit.record(tx, "state.undelete", state.id, project_id=state.project_id)


def purge(tx: Transaction, state: State) -> None:
    """Remove the bodies of all versions and rescued writes of a deleted state.

    Their rows stay, and numbering goes on after them. Repeating it is harmless. Raises Conflict.
    """
    tx.require("state:delete", state.project_id)
    locks.for_update(tx, state)
    if state.deleted_at is None:
        raise Conflict("Only a deleted state can be purged: delete it first.", code="not-deleted")
    if refusal := refusals.frozen(state.workspace):
        raise refusal.as_conflict()
    kept = StateVersion.state_id == state.id, StateVersion.removed_at.is_(None)
    undecided = RescuedWrite.state_id == state.id, RescuedWrite.decision.is_(None)
    versions = update(StateVersion).where(*kept).values(retention.removed("purged"))
    execute(tx.db, versions, {})
    for rescued in tx.db.scalars(select(RescuedWrite).where(*undecided)).all():
        retention.decide(tx.db, rescued, "purged", tx.principal.name)
    audit.record(tx, "state.purge", state.id, project_id=state.project_id)


def is_purged(db: Session, state: State) -> bool:
    """Whether the state is deleted and no body is left to restore."""
    if state.deleted_at is None or state.current == 0:
        return False
    kept = select(func.count()).where(
        StateVersion.state_id == state.id, StateVersion.removed_at.is_(None)
    )
    return not db.scalar(kept)
