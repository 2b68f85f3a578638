"""What people do with the versions of a state: show, download, pin, delete."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute
from backend.errors import Conflict, NotFound
from backend.models import Run, State, StateVersion
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.states import locks, refusals, retention, states
from backend.transactions import Transaction

LATEST = "latest"


def get(tx: Transaction, state: State, which: str) -> StateVersion:
    """One version, without its body. Raises what `numbered` raises."""
    tx.require("state:read", state.project_id)
    return numbered(tx.db, state, which)


def numbered(db: Session, state: State, which: str) -> StateVersion:
    """The version with this number, or the `latest`, with its body.

    Raises NotFound, and Gone for the latest one of a deleted state.
    """
    return states.version(db, state, number_of(state, which))


def number_of(state: State, which: str) -> int:
    """The number that is meant. Raises NotFound, and Gone for the latest one of a deleted state."""
    if which != LATEST:
        return int(which)
    states.refuse_deleted(state)
    if state.current == 0:
        raise NotFound("This state was never written.", code="never-written")
    return state.current


def find_all(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[StateVersion]:
    """The versions whose body is kept, newest first, without the body. The cursor is a number."""
    tx.require("state:read", state.project_id)
    return _page(tx.db, after, limit, StateVersion.state_id == state.id, _KEPT)


def find_history(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[StateVersion]:
    """The same as `find_all`, with the versions whose body was removed."""
    tx.require("state:read", state.project_id)
    return _page(tx.db, after, limit, StateVersion.state_id == state.id)


def kept(db: Session, state: State) -> int:
    """How many versions have a body."""
    counted = select(func.count()).where(StateVersion.state_id == state.id, _KEPT)
    return db.scalar(counted) or 0


def highest_serial(db: Session, state: State) -> int | None:
    """The highest serial of all versions, removed ones too; None if no version has a serial."""
    asked = select(func.max(StateVersion.serial)).where(StateVersion.state_id == state.id)
    return db.scalar(asked)


def download(tx: Transaction, state: State, which: str) -> StateVersion:
    """A version with its body, for a person. Audited, because a state contains secrets.

    Raises NotFound, and Gone when the body was removed.
    """
    tx.require("state:read", state.project_id)
    version = numbered(tx.db, state, which)
    states.refuse_removed(version)
    audit.record(tx, "state.download", state.id, project_id=state.project_id, number=version.number)
    return version


def pin(tx: Transaction, state: State, which: str) -> StateVersion:
    """Keep this version for good. Raises NotFound, and Gone when it was removed."""
    tx.require("state:write", state.project_id)
    return _set_pinned(tx, state, which, pinned=True)


def unpin(tx: Transaction, state: State, which: str) -> StateVersion:
    """Let retention remove this version again. Raises NotFound, and Gone when it was removed."""
    tx.require("state:delete", state.project_id)
    return _set_pinned(tx, state, which, pinned=False)


def delete(tx: Transaction, state: State, which: str) -> StateVersion:
    """Remove the body of one version. Repeating it is harmless.

    Raises NotFound, and Conflict for the current version, a pinned one, and a frozen workspace.
    """
    tx.require("state:delete", state.project_id)
    db = tx.db
    locks.for_update(tx, state)
    if refusal := refusals.frozen(state.workspace):
        raise refusal.as_conflict()
    version = numbered(db, state, which)
    if version.removed_at is not None:
        return version
    if version.number == state.current:
        raise Conflict("The current version cannot be deleted.", code="version-current")
    if version.pinned:
        raise Conflict("This version is pinned: unpin it first.", code="version-pinned")
    values = retention.removed("deleted")
    execute(db, update(StateVersion).where(StateVersion.id == version.id).values(values), {})
    db.refresh(version)
    audit.record(
        tx, "state.delete_version", state.id, project_id=state.project_id, number=version.number
    )
    return version


def written_by(db: Session, run: Run) -> Sequence[int]:
    """The numbers of the versions that a run wrote."""
    return db.scalars(
        select(StateVersion.number)
        .where(StateVersion.run_id == run.id)
        .order_by(StateVersion.number)
    ).all()


_KEPT = StateVersion.removed_at.is_(None)


def _page(db: Session, after: str | None, limit: int, *which: object) -> Page[StateVersion]:
    query = select(StateVersion).where(*which)  # type: ignore[arg-type]
    if after is not None:
        query = query.where(StateVersion.number < int(after))
    found = db.scalars(query.order_by(StateVersion.number.desc()).limit(limit + 1)).all()
    return cut(found, limit, lambda version: str(version.number))


def _set_pinned(tx: Transaction, state: State, which: str, *, pinned: bool) -> StateVersion:
    db = tx.db
    version = numbered(db, state, which)
    # one UPDATE with the condition: retention may remove the version at the same time
    asked = StateVersion.id == version.id, _KEPT
    execute(db, update(StateVersion).where(*asked).values(pinned=pinned), {})
    db.refresh(version)
    states.refuse_removed(version)
    audit.record(
        tx, "state.pin" if pinned else "state.unpin", state.id,
        project_id=state.project_id, number=version.number,
    )  # fmt: skip
    return version
