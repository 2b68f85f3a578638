"""The requests of the state protocol: each is one read, then at most one write transaction.

`common_case` answers the usual request in a few statements, without SQLAlchemy's mapped objects.
Everything else (a lock that somebody else holds, a lower serial, a quota …) goes to the full
operation, which checks it from the beginning. Both give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backend.audit import entries
from backend.documents.intake import Incoming
from backend.errors import Conflict, Gone, Unreadable
from backend.models import State
from backend.principal import LOCK, RESCUE
from backend.states import archive, common_case, locks, refusals, rescued, states, trash
from backend.states.arrivals import Arrival
from backend.states.locks import LockInfo
from backend.transactions import Transaction


def read(arrival: Arrival) -> Iterator[bytes] | None:
    """The newest version, byte for byte, or None if the state was never written.

    A state contains secrets, so the audit entry is written before the first byte is sent. A run's
    reading has no entry: the run itself is recorded. Raises NotFound, Forbidden, Gone and
    Unreadable.
    """
    arrival.require("state:read")
    arrival.check()
    here, row = arrival.here, arrival.row
    archive.refuse(row)
    states.refuse_deleted(row)
    if row.current == 0:
        return None
    body = states.content(row, here.keyring, here.blobs)
    if arrival.principal.run_id is None:
        seen = entries.entry(
            arrival.principal, "state.read", row.state_id, row.project_id, number=row.number
        )
        here.database.change(entries.INSERT, seen)
    return body


def write(arrival: Arrival, document: Incoming, lock_id: str | None) -> None:
    """Store a document as the newest version, under the lock with this ID or without a lock.

    A refused document is kept as a rescued write, for a person to decide on; the error has its id
    as `rescued`. Raises NotFound, Forbidden, and what `intake.receive` and `states.write` raise.
    """
    arrival.require(RESCUE, "state:write")
    limit = refusals.largest(arrival.row.max_state_bytes, arrival.here.settings)
    received = document.receive(limit, arrival.here.blobs)
    try:
        arrival.check()
        if not common_case.write(arrival, received, lock_id):
            with _slowly(arrival) as (tx, state):
                states.write(tx, state, received, lock_id)
    except (Conflict, Gone, Unreadable) as refusal:
        with _slowly(arrival) as (tx, state):
            kept = rescued.keep(tx, state, received, refusal.code)
            refusal.facts["rescued"] = None if kept is None else kept.id
        raise


def lock(arrival: Arrival, info: LockInfo) -> None:
    """Take the lock. Raises NotFound, Forbidden, Locked with the holder, and Conflict."""
    arrival.require(LOCK, "state:write")
    arrival.check()
    if not common_case.lock(arrival, info):
        with _slowly(arrival) as (tx, state):
            locks.acquire(tx, state, info)


def unlock(arrival: Arrival, info: LockInfo) -> None:
    """Release the lock. Raises NotFound, Forbidden, and Conflict when another ID holds it."""
    arrival.require(LOCK, "state:write")
    if not common_case.unlock(arrival, info.id):
        with _slowly(arrival) as (tx, state):
            locks.release(tx, state, info.id)


def force_unlock(arrival: Arrival) -> None:
    """Break the lock, whoever holds it: terraform's force-unlock sends no ID."""
    arrival.require("state:unlock")
    with _slowly(arrival) as (tx, state):
        locks.break_any(tx, state, "force-unlock")


def delete(arrival: Arrival) -> None:
    """Delete the state; a person can restore it. Raises Locked, and Conflict when frozen."""
    arrival.require("state:delete")
    arrival.check()
    with _slowly(arrival) as (tx, state):
        trash.delete(tx, state)


@contextmanager
def _slowly(arrival: Arrival) -> Iterator[tuple[Transaction, State]]:
    """A transaction for the full operation, and the state as a mapped object."""
    with arrival.caller.transaction() as tx:
        yield tx, tx.db.get_one(State, arrival.row.state_id)
