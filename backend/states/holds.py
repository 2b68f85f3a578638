"""Holds: locks that people take by hand, with a reason and an end, so that nobody else applies."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.db import now
from backend.errors import Conflict, Invalid, NotFound
from backend.models import Lock, State
from backend.principal import Principal
from backend.states import locks, refusals
from backend.transactions import Transaction

LONGEST = timedelta(days=30)
OPERATION = "hold"


def hold(tx: Transaction, state: State, reason: str, until: datetime | None) -> Lock:
    """Hold the lock until this time. The holder may repeat it with another reason and end.

    Raises Locked when somebody else holds it, Invalid, and Conflict for a state that takes no lock.
    """
    tx.require("state:write", state.project_id)
    db, principal = tx.db, tx.principal
    lock = locks.for_update(tx, state)
    _refuse(db, state, lock, principal)
    at = db.scalars(select(now())).one()
    if until is None:
        raise Invalid(
            "A hold needs an end: give expires_at or expires_in_minutes.", code="expiry-invalid"
        )
    if not at < until <= at + LONGEST:
        raise Invalid(
            f"A hold must end in the future, within {LONGEST.days} days. To lock others out for "
            "longer, freeze the workspace.",
            code="expiry-invalid",
        )
    if not lock.held:
        lock.lock_id, lock.acquired_at = _readable_id(principal), at
    lock.held, lock.held_by, lock.held_by_id = True, principal.name, principal.holder_id
    lock.run_id = lock.run_epoch = lock.taken_from = None
    lock.expires_at, lock.last_seen_at = until, at
    lock.info = _info(principal, reason, until, lock.acquired_at or at)
    db.flush()
    audit.record(
        tx, "lock.hold", state.id, project_id=state.project_id,
        lock_id=lock.lock_id, reason=reason, until=until.isoformat(),
    )  # fmt: skip
    return lock


def end(tx: Transaction, state: State, reason: str, lock_id: str | None = None) -> Lock:
    """Release the lock. One's own hold needs state:write; any other lock state:unlock and a reason.

    Raises NotFound when the state is not locked, Forbidden, Invalid without a reason, and Conflict
    when the lock is not the one that `lock_id` names.
    """
    tx.require_any(("state:write", "state:unlock"), state.project_id)
    lock = locks.for_update(tx, state)
    if lock.held and lock_id not in (None, lock.lock_id):
        raise Conflict(
            f"{lock.held_by} has the lock now, and it is not the one that you saw: look again.",
            code="lock-held-by-another",
            holder=locks.holder(lock),
        )
    if locks.is_own_hold(lock, tx.principal):
        locks.release(tx, state, lock.lock_id or "")
        return lock
    tx.require("state:unlock", state.project_id)
    if not lock.held:
        raise NotFound("The state is not locked.", code="not-locked")
    if not reason.strip():
        raise Invalid(
            f"{lock.held_by} holds this lock: give a reason for breaking it.",
            code="reason-missing",
        )
    return locks.break_lock(tx, state, reason)


def _refuse(db: Session, state: State, lock: Lock, principal: Principal) -> None:
    refusal = refusals.of(db, state)
    if refusal is not None:
        raise refusal.as_conflict()
    if lock.held and not locks.is_own_hold(lock, principal):
        raise locks.locked(lock)


def _readable_id(principal: Principal) -> str:
    """An ID that names the holder: it is all that terraform shows of a hold."""
    return f"held-by-{names.made_of(principal.name) or 'somebody'}-{secrets.token_hex(3)}"


def _info(principal: Principal, reason: str, until: datetime, since: datetime) -> dict[str, str]:
    return {
        "Operation": OPERATION,
        "Info": f"{reason} (until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC)",
        "Who": principal.name,
        "Created": since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "Reason": reason,
        "Principal": principal.user_id or principal.token_id,
    }
