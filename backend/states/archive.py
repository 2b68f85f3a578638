"""Archived states: moved to another backend, closed here, their versions kept for download.

The address of an archived state answers 410. A 404 would tell terraform that there is no state yet,
and its next plan would create everything again.
"""

from __future__ import annotations

from sqlalchemy import select

from backend import audit
from backend.db import now
from backend.errors import Conflict, Gone
from backend.models import State
from backend.states import fencing, locks, states
from backend.transactions import Transaction


def archive(tx: Transaction, state: State, lock_id: str, to: str) -> None:
    """Close the state and release its lock. `to` names the backend that has the state now.

    The caller holds the lock and has verified the copy. Raises Gone, and Conflict when the run no
    longer holds the lock. Then the state stays open.
    """
    tx.require("state:write", state.project_id)
    fencing.fence(tx)
    lock = locks.for_update(tx, state)
    states.refuse_deleted(state)
    if state.archived_at is not None and lock.lock_id == lock_id:
        return  # the worker repeats it, because the first answer was lost
    if not lock.held or lock.lock_id != lock_id:
        raise Conflict(
            "This run no longer holds the lock: somebody may have written the state since.",
            code="lock-lost",
        )
    state.archived_at, state.archived_to = tx.db.scalar(select(now())), to
    locks.release(tx, state, lock_id)
    audit.record(tx, "state.archive", state.id, project_id=state.project_id, to=to)


def unarchive(tx: Transaction, state: State) -> None:
    """Open the state here again, as it was. Harmless when it is open.

    Stateroom cannot see the other backend: a person must know that nobody uses it any more.
    """
    tx.require("state:delete", state.project_id)
    locks.for_update(tx, state)
    if state.archived_at is None:
        return
    moved_to, state.archived_at, state.archived_to = state.archived_to, None, None
    audit.record(tx, "state.unarchive", state.id, project_id=state.project_id, was_at=moved_to)


def refuse(state: State) -> None:
    """Raise Gone for an archived state, with the backend that it was moved to."""
    if state.archived_at is not None:
        where = f" to {state.archived_to}" if state.archived_to else ""
        raise Gone(f"This state was moved{where}: work with it there.", code="state-archived")
