"""Locks of states.

A client's lock does not expire, because terraform's protocol has no heartbeat. There are two
exceptions, both by the server's clock. A hold (a lock that a person takes by hand) ends at the time
that the person gave. And where a workspace has a lock timeout, the next LOCK takes over the lock of
a client that was silent for longer.

Everybody who may lock a state is told the ID of its lock, so the ID proves nothing. A lock belongs
to the token, alias or run that took it: nobody else locks again, writes or unlocks with its ID.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute
from backend.errors import Conflict, Invalid, Locked, NotFound
from backend.models import Lock, Project, State, StateVersion, Workspace
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.principal import LOCK, Principal
from backend.states import fencing, refusals, retention
from backend.states.lock_statements import AGAIN, EXPIRED, FOR_UPDATE, LATE, TAKE, TAKE_OVER
from backend.transactions import Transaction

MAX_INFO_BYTES = 64 * 1024
KEPT = ("ID", "Operation", "Info", "Who", "Version", "Created", "Path")


@dataclass(frozen=True)
class LockInfo:
    """What a client says about its lock: untrusted text, stored unchanged."""

    id: str
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes) -> LockInfo:
        """Raises Invalid for anything but a JSON object with a printable ID.

        terraform shows the ID of a refusal on a terminal as it is. What else the client says is
        kept as it is: whoever shows it makes it harmless.
        """
        try:
            given = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Invalid(f"The lock is not a JSON object: {error}", code="lock-invalid") from None
        lock_id = given.get("ID")
        if not isinstance(lock_id, str) or not 0 < len(lock_id) <= 255:
            raise Invalid("The lock needs an ID: a text that is not empty.", code="lock-invalid")
        if not lock_id.isprintable():
            raise Invalid(
                "The ID of the lock has control characters, which could do something to the "
                "terminal of whoever is refused: send one without.",
                code="lock-invalid",
            )
        kept = {name: given[name] for name in KEPT if isinstance(given.get(name), str)}
        return cls(lock_id, kept)


def for_update(tx: Transaction, state: State) -> Lock:
    """Lock the row of the state's lock until the transaction ends, so that writers wait in turn.

    Also reads the state again, and ends a hold whose time is over.
    """
    lock, _, expired = tx.db.execute(FOR_UPDATE, {"state_id": state.id}).one()
    if lock.held and expired:
        itself = tx.as_itself()
        _free(itself, state, lock)
        audit.record(
            itself, "lock.expire", state.id, project_id=state.project_id,
            lock_id=lock.lock_id, held_by=lock.held_by,
        )  # fmt: skip
    return lock


def get(tx: Transaction, state: State) -> Lock:
    """The lock of a state, held or not, for showing it."""
    tx.require("runs:read", state.project_id)
    return of_state(tx.db, state)


def of_state(db: Session, state: State) -> Lock:
    return db.get_one(Lock, state.id)


def find_held(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[tuple[Lock, Workspace]]:
    """The locks of a project that are held now. The cursor is the id of a workspace."""
    tx.require("runs:read", project.id)
    query = (
        select(Lock, Workspace)
        .join(State, State.id == Lock.state_id)
        .join(Workspace, Workspace.id == State.workspace_id)
        .where(Workspace.project_id == project.id, Lock.held)
        .where(or_(Lock.expires_at.is_(None), ~EXPIRED))
        .order_by(Workspace.id)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(Workspace.id > after)
    rows = [(lock, workspace) for lock, workspace in tx.db.execute(query)]
    return cut(rows, limit, lambda row: row[1].id)


def holder(lock: Lock) -> dict[str, Any]:
    """The LockInfo of the holder. It always has an ID that is not empty.

    tofu prints each field on the terminal of whoever is refused, so control characters are escaped.
    """
    info = {name: value for name, value in lock.info.items() if name in KEPT}
    info["ID"] = lock.lock_id or "unknown"
    return {name: _harmless(value) for name, value in info.items()}


def _harmless(text: str) -> str:
    if text.isprintable():
        return text
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def acquire(tx: Transaction, state: State, info: LockInfo) -> None:
    """Take the lock, or raise Locked with its holder. Taking it twice is harmless.

    A lock whose timeout is over is taken over. After that its former holder can neither write nor
    unlock.
    """
    tx.require_any(("state:write", LOCK), state.project_id)
    fencing.fence(tx)
    db, principal = tx.db, tx.principal
    asked = wanted(principal, state.id, info)
    free = execute(db, TAKE, asked).rowcount == 1
    again = {"wanted_by": state.id, "again": info.id, "again_by": principal.holder_id}
    if not free and execute(db, AGAIN, again).rowcount:
        return
    late = None if free else _take_over(db, asked)
    if late is not None:
        retention.compact(tx, state, late)
    # checked after taking the lock: freezing and deleting need the row that we now hold
    refusal = refusals.of(db, state)
    if refusal is not None:
        raise refusal.as_lock()
    if not free and late is None:
        raise locked(of_state(db, state))
    audit.record(
        tx, "lock.acquire" if late is None else "lock.take_over", state.id,
        project_id=state.project_id, lock_id=info.id, **_told_of(late),
    )  # fmt: skip


def wanted(principal: Principal, state_id: str, info: LockInfo) -> dict[str, Any]:
    """The parameters of the statements that take the lock."""
    return {
        "wanted_by": state_id,
        "lock_id": info.id,
        "info": info.fields,
        "held_by": principal.name,
        "held_by_id": principal.holder_id,
        "run_id": principal.run_id,
        "run_epoch": principal.run_epoch,
    }


def _take_over(db: Session, asked: dict[str, Any]) -> Row[Any] | None:
    """Take the lock from a holder whose timeout is over and return that holder, or return None."""
    late = execute(db, LATE, {"wanted_by": asked["wanted_by"]}).one_or_none()
    if late is None or not execute(db, TAKE_OVER, asked | {"late": late.lock_id}).rowcount:
        return None
    return late


def _told_of(late: Row[Any] | None) -> dict[str, Any]:
    if late is None:
        return {}
    return {
        "taken_from": late.lock_id,
        "late_holder": late.held_by,
        "silent_since": late.last_seen_at.isoformat(),
        "because": "silent" if late.expires_at is None else "expired",
    }


def locked(lock: Lock) -> Locked:
    """The error that names the holder."""
    return Locked(f"The state is locked by {lock.held_by}.", holder(lock))


def release(tx: Transaction, state: State, lock_id: str) -> None:
    """Release the lock that has this ID. Repeating it is harmless.

    The lock of somebody else needs the scope state:unlock: without it, raises Forbidden. Raises
    Conflict, with the holder, when the lock has another ID. Then the state stays locked.
    """
    tx.require_any(("state:write", LOCK), state.project_id)
    lock = for_update(tx, state)
    if lock.lock_id == lock_id:
        if lock.held:
            if not is_holder(lock, tx.principal):
                # tofu's force-unlock sends the ID of the lock, which everybody can see
                break_lock(tx, state, "force-unlock")
                return
            _free(tx, state, lock)
            audit.record(
                tx, "lock.release", state.id, project_id=state.project_id,
                lock_id=lock_id,
            )  # fmt: skip
        return
    if lock.held:
        raise Conflict(
            f"{lock.held_by} holds the lock with another ID: the state stays locked.",
            code="lock-held-by-another",
            holder=holder(lock),
        )
    raise Conflict("The state is not locked, so there is nothing to unlock.", code="lock-lost")


def break_lock(tx: Transaction, state: State, reason: str = "") -> Lock:
    """Release the lock, whoever holds it. Raises NotFound when the state is not locked."""
    tx.require("state:unlock", state.project_id)
    lock = for_update(tx, state)
    if not lock.held:
        raise NotFound("The state is not locked.", code="not-locked")
    _free(tx, state, lock)
    audit.record(
        tx, "lock.break", state.id, project_id=state.project_id,
        lock_id=lock.lock_id, held_by=lock.held_by, reason=reason or None,
    )  # fmt: skip
    return lock


def break_any(tx: Transaction, state: State, reason: str) -> None:
    """`break_lock`, but harmless when the state is not locked."""
    tx.require("state:unlock", state.project_id)
    if for_update(tx, state).held:
        break_lock(tx, state, reason)


def of_run(tx: Transaction, state: State, run_id: str) -> str | None:
    """The ID of the lock that this run holds, or None if it holds none."""
    lock = for_update(tx, state)
    return lock.lock_id if lock.held and lock.run_id == run_id else None


def release_of_run(tx: Transaction, run_id: str) -> None:
    """Release the locks of a run that has ended. Recorded as an action of Stateroom itself."""
    itself = tx.as_itself()
    states = select(State).join(Lock).where(Lock.run_id == run_id, Lock.held)
    for state in tx.db.scalars(states).all():
        lock = for_update(itself, state)
        if lock.held and lock.run_id == run_id:
            break_lock(itself, state, f"its run {run_id} has ended")


def check_write(
    tx: Transaction,
    lock: Lock,
    lock_id: str | None,
    newest: StateVersion | None,
    sha256: bytes,
) -> None:
    """Check that a write with this lock ID, or without one, may happen. Raises Locked, Conflict."""
    if lock.held:
        own = lock_id == lock.lock_id and took(lock, tx.principal)
        if own and lock.expires_at is None:
            return
        if lock_id is not None and lock_id == lock.taken_from:
            raise _taken_over(lock)
        raise locked(lock)
    if lock_id is None:
        if tx.settings.refuse_unlocked_writes:
            raise Conflict(
                "This installation refuses writes without a lock (-lock=false).",
                code="lock-required",
            )
        return
    if newest is not None and newest.lock_id == lock_id and newest.sha256 == sha256:
        return  # the client repeats a write that is stored already
    written = 0 if newest is None else newest.number
    if lock_id == lock.taken_from:
        raise _taken_over(lock)
    if (
        lock.lock_id != lock_id
        or lock.version_at_release != written
        or not took(lock, tx.principal)
    ):
        raise Conflict(
            "This ID no longer holds the lock, and the state was locked or written since then.",
            code="lock-lost",
        )


def _taken_over(lock: Lock) -> Conflict:
    return Conflict(
        f"{lock.held_by} took over this lock, because its holder was silent for longer than the "
        "workspace allows.",
        code="lock-taken-over",
        holder=holder(lock),
    )


def is_holder(lock: Any, principal: Principal) -> bool:
    """Whether this principal may release the lock without breaking it."""
    return is_own_hold(lock, principal) if lock.expires_at is not None else took(lock, principal)


def took(lock: Any, principal: Principal) -> bool:
    """Whether this token, alias or run took the lock.

    Of a lock that was taken before this was stored only the name is known, or the run.
    """
    if lock.held_by_id is not None:
        return bool(lock.held_by_id == principal.holder_id)
    if lock.run_id is not None:
        return bool(lock.run_id == principal.run_id)
    return bool(lock.held_by == principal.name)


def is_own_hold(lock: Lock, principal: Principal) -> bool:
    """Whether the lock is a hold, and this user or token took it."""
    held = lock.held and lock.expires_at is not None
    return held and lock.info.get("Principal") == (principal.user_id or principal.token_id)


def _free(tx: Transaction, state: State, lock: Lock) -> None:
    retention.compact(tx, state, lock)
    lock.held = False
    lock.version_at_release = state.current
