"""The fast path of LOCK, POST and UNLOCK: what every apply sends, in few statements.

Each function returns whether it did the work. If anything is unusual it changes nothing and returns
False, and the caller runs the full operation instead (`states.write`, `locks.acquire` …).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import and_, bindparam, insert, or_, select, update

from backend.audit import entries
from backend.db import now
from backend.documents.intake import Received
from backend.express import Bare, Statement
from backend.models import ACTIVE, Lock, Run, State, StateVersion, new_id
from backend.states import locks, refusals, retention, states
from backend.states.arrivals import Arrival
from backend.states.lock_statements import TAKE
from backend.states.locks import LockInfo


def write(arrival: Arrival, document: Received, lock_id: str | None) -> bool:
    """Store a document under the client's own lock, if it follows or equals the newest version."""
    return _is_done(arrival, partial(_write, document=document, lock_id=lock_id))


def lock(arrival: Arrival, info: LockInfo) -> bool:
    """Take the lock, if it is free and nothing refuses a lock."""
    return _is_done(arrival, partial(_lock, info=info))


def unlock(arrival: Arrival, lock_id: str) -> bool:
    """Release the client's own lock, if no versions have to be compacted."""
    return _is_done(arrival, partial(_unlock, lock_id=lock_id))


class _Uncommon(Exception):
    """Roll back and leave the request to the full operation."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A request and its write transaction."""

    arrival: Arrival
    bare: Bare

    @property
    def state(self) -> dict[str, Any]:
        return {"at_state": self.arrival.row.state_id}

    def look(self, statement: Statement) -> Any:
        """The one row about this state."""
        return self.bare.one(statement, self.state)

    def only_when(self, common: object) -> None:
        if not common:
            raise _Uncommon

    def record(self, action: str, **detail: Any) -> None:
        """Write the entry of the audit log."""
        who, row = self.arrival.principal, self.arrival.row
        entry = entries.entry(who, action, row.state_id, row.project_id, **detail)
        self.bare.change(entries.INSERT, entry)


def _is_done(arrival: Arrival, work: Callable[[_Case], None]) -> bool:
    who = arrival.principal
    try:
        with arrival.here.database.express() as bare:
            case = _Case(arrival, bare)
            if who.run_id is not None:  # a run that was taken from its worker writes nothing
                claim = {"run_id": who.run_id, "epoch": who.run_epoch}
                case.only_when(bare.one(_AT_WORK, claim))
            work(case)
    except _Uncommon:
        return False
    return True


def _write(case: _Case, document: Received, lock_id: str | None) -> None:
    now = case.look(_FOR_WRITE)
    case.only_when(now.held and now.lock_id == lock_id and now.expires_at is None)
    case.only_when(now.run_id in {None, case.arrival.principal.run_id})
    # what we read may miss a version that was committed while we waited for the row
    case.only_when(now.deleted_at is None and (now.number or 0) == now.current)
    case.bare.change(_SEEN, case.state)
    if now.sha256 == document.sha256:
        return
    case.only_when(not now.current or states.objection(now, document) is None)
    _append(case, document, now, lock_id)


def _append(case: _Case, document: Received, now: Any, lock_id: str | None) -> None:
    here, row, number = case.arrival.here, case.arrival.row, now.current + 1
    version = states.version_columns(
        here.keyring, case.arrival.principal, document, row.state_id, number
    )
    made = {"id": new_id("sv"), "lock_id": lock_id, "operation": now.info.get("Operation")}
    case.bare.change(_INSERT, version | made)
    case.bare.change(_WRITTEN, case.state | {"made": number})
    case.record("state.write", number=number, serial=document.heading.serial, lock_id=lock_id)


def _lock(case: _Case, info: LockInfo) -> None:
    row = case.arrival.row
    wanted = locks.wanted(case.arrival.principal, row.state_id, info)
    case.only_when(case.bare.one(_TAKE, wanted))
    # checked after taking the lock: freezing and deleting need the row that we now hold
    case.only_when(refusals.against_a_lock(case.look(_FACTS)) is None)
    case.record("lock.acquire", lock_id=info.id)


def _unlock(case: _Case, lock_id: str) -> None:
    now = case.look(_FOR_UNLOCK)
    case.only_when(now.held and now.lock_id == lock_id and now.expires_at is None)
    case.only_when(locks.is_holder(now, case.arrival.principal))
    case.only_when(now.current - now.version_at_release <= retention.FIRST_AND_LAST)
    case.bare.change(_RELEASE, case.state | {"now_at": now.current})
    case.record("lock.release", lock_id=lock_id)


_OF_STATE = Lock.state_id == bindparam("at_state")
_NEWEST = and_(StateVersion.state_id == State.id, StateVersion.number == State.current)
_AT_WORK = Statement(
    select(Run.id)
    .where(Run.id == bindparam("run_id"), Run.epoch == bindparam("epoch"))
    .where(or_(*(Run.status == status for status in ACTIVE)))
    .with_for_update(read=True)
)
_FOR_WRITE = Statement(
    select(
        *(Lock.held, Lock.lock_id, Lock.run_id, Lock.expires_at, Lock.info),
        *(State.current, State.deleted_at),
        *(StateVersion.number, StateVersion.serial, StateVersion.lineage, StateVersion.sha256),
    )
    .join(State, State.id == Lock.state_id)
    .outerjoin(StateVersion, _NEWEST)
    .where(_OF_STATE)
    .with_for_update(of=(Lock, State))
)
_FOR_UNLOCK = Statement(
    select(
        *(Lock.held, Lock.lock_id, Lock.run_id, Lock.expires_at, Lock.info, Lock.held_by),
        *(Lock.version_at_release, State.current),
    )
    .join(State, State.id == Lock.state_id)
    .where(_OF_STATE)
    .with_for_update(of=(Lock, State))
)
_TAKE = Statement(TAKE.returning(Lock.state_id))
_FACTS = Statement(refusals.FACTS)
_SEEN = Statement(update(Lock).where(_OF_STATE).values(last_seen_at=now()))
_RELEASE = Statement(
    update(Lock).where(_OF_STATE).values(held=False, version_at_release=bindparam("now_at"))
)
_WRITTEN = Statement(
    update(State).where(State.id == bindparam("at_state")).values(current=bindparam("made"))
)
_INSERT = Statement(
    insert(StateVersion).values(
        created_at=now(),
        pinned=False,
        forced=False,
        **{name: bindparam(name) for name in ("id", "lock_id", "operation", *states.COLUMNS)},
    )
)
