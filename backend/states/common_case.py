"""The fast path of LOCK, POST and UNLOCK: what every apply sends, in few statements.

Each function returns whether it did the work. If anything is unusual it changes nothing and returns
False, and the caller runs the full operation instead (`states.write`, `locks.acquire` …).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import String, bindparam, false, or_, select, update

from backend.audit import entries
from backend.db import now
from backend.documents.intake import Received
from backend.express import Bare, Guarded, NewRow, Statement
from backend.models import ACTIVE, Lock, Run, State, StateVersion, new_id
from backend.states import locks, refusals, retention, states
from backend.states.arrivals import Arrival
from backend.states.lock_statements import TAKE
from backend.states.locks import LockInfo


def write(arrival: Arrival, document: Received, lock_id: str | None) -> bool:
    """Store a document that follows the newest version, under the client's own lock."""
    here, who, row = arrival.here, arrival.principal, arrival.row
    if not row.held or row.lock_id != lock_id or document.sha256 == row.sha256:
        return False
    if row.current and states.objection(row, document) is not None:
        return False
    number = row.current + 1
    version = states.version_columns(here.keyring, who, document, row.state_id, number) | {
        "id": new_id("sv"),
        "lock_id": lock_id,
        "operation": row.lock_info.get("Operation"),
    }
    entry = entries.entry(
        who, "state.write", row.state_id, row.project_id,
        number=number, serial=document.heading.serial, lock_id=lock_id,
    )  # fmt: skip
    values = {
        **_VERSION.parameters(version),
        **entries.ROW.parameters(entry),
        **_claim(arrival),
        "at_state": row.state_id,
        "known": row.current,
        "known_proof": row.state_proof,
        "state_proof": states.row_proof(here.keyring.proofs, row, number),
        "made": number,
        "own_lock": lock_id,
        "own": who.holder_id,
    }
    return here.database.change_if(_WRITE if who.run_id is None else _WRITE_OF_RUN, values)


def lock(arrival: Arrival, info: LockInfo) -> bool:
    """Take the lock, if it is free and nothing refuses a lock."""
    return _is_done(arrival, partial(_lock, info=info))


def unlock(arrival: Arrival, lock_id: str) -> bool:
    """Release the client's own lock, if no versions have to be compacted."""
    return _is_done(arrival, partial(_unlock, lock_id=lock_id))


def _claim(arrival: Arrival) -> dict[str, Any]:
    """The claim of the run that asks; None for anybody else."""
    return {"run_id": arrival.principal.run_id, "epoch": arrival.principal.run_epoch}


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
                case.only_when(bare.one(_AT_WORK, _claim(arrival)))
            work(case)
    except _Uncommon:
        return False
    return True


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
_STILL_CLAIMED = (
    select(Run.id)
    .where(Run.id == bindparam("run_id"), Run.epoch == bindparam("epoch"))
    .where(or_(*(Run.status == status for status in ACTIVE)))
    .with_for_update(read=True)
)
_AT_WORK = Statement(_STILL_CLAIMED)
_FOR_UNLOCK = Statement(
    select(
        *(Lock.held, Lock.lock_id, Lock.expires_at, Lock.info, Lock.held_by_id, Lock.held_by),
        *(Lock.run_id, Lock.version_at_release, State.current),
    )
    .join(State, State.id == Lock.state_id)
    .where(_OF_STATE)
    .with_for_update(of=(Lock, State))
)
_TAKE = Statement(TAKE.returning(Lock.state_id))
_FACTS = Statement(refusals.FACTS)
_RELEASE = Statement(
    update(Lock).where(_OF_STATE).values(held=False, version_at_release=bindparam("now_at"))
)
_VERSION = NewRow(
    StateVersion,
    "version",
    ("id", "lock_id", "operation", *states.COLUMNS),
    {"created_at": now(), "pinned": false(), "forced": false()},
)
# The client's lock, and the state as it was when the request arrived: nobody wrote it since then.
_UNCHANGED = (
    select(Lock.state_id)
    .join(State, State.id == Lock.state_id)
    .where(_OF_STATE, Lock.held, Lock.lock_id == bindparam("own_lock"), Lock.expires_at.is_(None))
    .where(Lock.held_by_id == bindparam("own", type_=String()))
    .where(State.current == bindparam("known"), State.deleted_at.is_(None))
    .where(State.proof == bindparam("known_proof"))
    .with_for_update(of=(Lock, State))
)
_STORED = (
    update(Lock).where(_OF_STATE).values(last_seen_at=now()),
    update(State)
    .where(State.id == bindparam("at_state"))
    .values(current=bindparam("made"), proof=bindparam("state_proof")),
    _VERSION,
    entries.ROW,
)
_WRITE = Guarded([_UNCHANGED], _STORED)
_WRITE_OF_RUN = Guarded([_STILL_CLAIMED, _UNCHANGED], _STORED)
