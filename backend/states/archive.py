"""A state that lives on in another backend: closed here, its versions kept for people to download.

Its address answers 410 to every client. To terraform a 404 would mean "no state yet", and its next
plan would create everything again.
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
    """Close the state for whoever has locked it, and seen all of it at `to`; the lock is freed.

    Raises Conflict when another run or lock came between, and Gone. Then it stays open.
    """
    tx.require("state:write", state.project_id)
    fencing.fence(tx)
    lock = locks.for_update(tx, state)
    states.refuse_deleted(state)
    if state.archived_at is not None and lock.lock_id == lock_id:
        return  # again: the answer to the first time was lost
    if not lock.held or lock.lock_id != lock_id:
        raise Conflict(
            "The state is no longer locked by this run: it may have been written since.",
            code="lock-lost",
        )
    state.archived_at, state.archived_to = tx.db.scalar(select(now())), to
    locks.release(tx, state, lock_id)
    audit.record(tx, "state.archive", state.id, project_id=state.project_id, to=to)


def unarchive(tx: Transaction, state: State) -> None:
    """Open the state here again, as it was. Harmless when it is open.

    What became of it elsewhere is not known here: a person says that nobody goes on there.
    """
    tx.require("state:delete", state.project_id)
    locks.for_update(tx, state)
    if state.archived_at is None:
        return
    moved_to, state.archived_at, state.archived_to = state.archived_to, None, None
    audit.record(tx, "state.unarchive", state.id, project_id=state.project_id, was_at=moved_to)


def refuse(state: State) -> None:
    """Raises Gone, saying where the state is now."""
    if state.archived_at is not None:
        where = f" to {state.archived_to}" if state.archived_to else ""
        raise Gone(f"This state was moved{where}: work with it there.", code="state-archived")
