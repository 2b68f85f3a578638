"""Locks of states. They do not expire by the clock: terraform's protocol has no heartbeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute, now
from backend.errors import Conflict, Invalid, Locked, NotFound
from backend.models import Lock, State, StateVersion
from backend.principal import Principal

MAX_INFO_BYTES = 64 * 1024
KEPT = ("ID", "Operation", "Info", "Who", "Version", "Created", "Path")


@dataclass(frozen=True)
class LockInfo:
    """What a client says of its lock: untrusted text, kept as it came."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes) -> LockInfo:
        """Raises Invalid for anything but a JSON object with a non-empty ID."""
        try:
            given = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"The lock is not a JSON object: {error}", code="lock-invalid") from None
        lock_id = given.get("ID")
        if not isinstance(lock_id, str) or not 0 < len(lock_id) <= 255 or "\0" in lock_id:
            raise Invalid("The lock has no ID that could be one.", code="lock-invalid")
        kept = {name: given[name] for name in KEPT if isinstance(given.get(name), str)}
        return cls(lock_id, kept)


# Made once: making a statement takes longer than executing it.
_FOR_UPDATE = (
    select(Lock, State)
    .join(State, State.id == Lock.state_id)
    .where(Lock.state_id == bindparam("state_id"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
_TAKE = (
    update(Lock)
    .where(
        Lock.state_id == bindparam("wanted_by"),
        or_(~Lock.held, Lock.lock_id == bindparam("lock_id")),
    )
    .values(
        held=True,
        acquired_at=now(),
        last_seen_at=now(),
        **{name: bindparam(name) for name in ("lock_id", "info", "held_by", "run_id", "run_epoch")},
    )
)
_DELETED_AT = select(State.deleted_at).where(State.id == bindparam("state_id"))


def for_update(db: Session, state: State) -> Lock:
    """The state's lock row, held for this transaction: writers of one state queue up here.

    The state itself is read again, as it is now.
    """
    lock, _ = db.execute(_FOR_UPDATE, {"state_id": state.id}).one()
    return lock


def get(db: Session, state: State) -> Lock:
    return db.get_one(Lock, state.id)


def holder(lock: Lock) -> dict[str, Any]:
    """The LockInfo of who holds it, with a non-empty ID whatever the client gave."""
    return lock.info | {"ID": lock.lock_id or "unknown"}


def acquire(db: Session, principal: Principal, state: State, info: LockInfo) -> None:
    """Take the lock, or raise Locked with its holder. Taking it twice is harmless."""
    wanted = {
        "wanted_by": state.id,
        "lock_id": info.id,
        "info": info.fields,
        "held_by": principal.name,
        "run_id": principal.run_id,
        "run_epoch": principal.run_epoch,
    }
    taken = execute(db, _TAKE, wanted).rowcount
    # asked when nobody can delete it any more: whoever deletes it needs the lock's row
    if execute(db, _DELETED_AT, {"state_id": state.id}).scalar() is not None:
        raise Locked(
            "The state is deleted.",
            {"ID": "state-deleted", "Info": "This state was deleted. Restore it to lock it."},
        )
    if taken == 0:
        held = get(db, state)
        raise Locked(f"The state is locked by {held.held_by}.", holder(held))
    audit.record(
        db, principal, "lock.acquire", state.id, project_id=state.project_id, lock_id=info.id
    )


def release(db: Session, principal: Principal, state: State, lock_id: str) -> None:
    """Free the lock that this ID holds; harmless when it held it last and it is free already.

    Raises Conflict, with the holder, when another ID holds it: it stays locked.
    """
    lock = for_update(db, state)
    if lock.lock_id == lock_id:
        if lock.held:
            _free(state, lock)
            audit.record(
                db, principal, "lock.release", state.id, project_id=state.project_id,
                lock_id=lock_id,
            )  # fmt: skip
        return
    if lock.held:
        raise Conflict(
            f"The lock is held by {lock.held_by} with another ID: it stays locked.",
            code="lock-held-by-another",
            holder=holder(lock),
        )
    raise Conflict("This ID does not hold the lock: nothing is locked.", code="lock-lost")


def break_lock(db: Session, principal: Principal, state: State, reason: str = "") -> Lock:
    """Free the lock whoever holds it. Raises NotFound when it is free."""
    lock = for_update(db, state)
    if not lock.held:
        raise NotFound("The state is not locked.", code="not-locked")
    _free(state, lock)
    audit.record(
        db, principal, "lock.break", state.id, project_id=state.project_id,
        lock_id=lock.lock_id, held_by=lock.held_by, reason=reason or None,
    )  # fmt: skip
    return lock


def release_of_run(db: Session, principal: Principal, run_id: str) -> None:
    """Free what a run still holds: its lock lives and dies with it."""
    states = select(State).join(Lock).where(Lock.run_id == run_id, Lock.held)
    for state in db.scalars(states).all():
        lock = for_update(db, state)
        if lock.held and lock.run_id == run_id:
            break_lock(db, principal, state, f"its run {run_id} has ended")


def check_write(
    lock: Lock,
    lock_id: str | None,
    newest: StateVersion | None,
    sha256: bytes,
    *,
    refuse_unlocked: bool,
) -> None:
    """May a write with this lock ID (None: without one) happen now? Raises Locked or Conflict."""
    if lock.held:
        if lock_id != lock.lock_id:
            raise Locked(f"The state is locked by {lock.held_by}.", holder(lock))
        return
    if lock_id is None:
        if refuse_unlocked:
            raise Conflict(
                "This installation refuses writes without a lock (-lock=false).",
                code="lock-required",
            )
        return
    if newest is not None and newest.lock_id == lock_id and newest.sha256 == sha256:
        return  # the retry of a write that is stored already
    written = 0 if newest is None else newest.number
    if lock.lock_id != lock_id or lock.version_at_release != written:
        raise Conflict(
            "This ID no longer holds the lock, and the state was locked or written since.",
            code="lock-lost",
        )


def _free(state: State, lock: Lock) -> None:
    lock.held = False
    lock.version_at_release = state.current
