"""Comparing two versions of a state, without showing their secrets."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from backend import audit
from backend.documents import diff
from backend.documents.diff import Diff
from backend.models import State, StateVersion
from backend.offload import Room, off_loop
from backend.states import states, versions
from backend.transactions import Caller, Transaction

NOTHING = b'{"version": 4}'

# each may take a few hundred MB, and one of the threads that state writes need too
ROOM = Room(2, seconds=20.0, refusal="Too many states are being compared. Try again.")


@dataclass(frozen=True)
class Comparison:
    """`before` and `after` are version numbers. If `before` is None, everything was added."""

    before: int | None
    after: int
    diff: Diff


def compare(
    caller: Caller, project: str, workspace: str, before: str | None, after: str
) -> Comparison:
    """Compare two versions, given as a number or `latest`. Audited.

    The default of `before` is the closest earlier version that still has its body.
    Raises NotFound, Forbidden, Gone for a removed one, Invalid for one that is too large, Conflict
    for one that OpenTofu encrypted, Unreadable, and Unavailable when many are being compared.
    """
    with caller.transaction() as tx:
        older, newer = _read(tx, states.named(tx, project, workspace), before, after)
    with ROOM.enter():
        document = NOTHING if older is None else _document(caller, older)
        found = off_loop(diff.diff, document, _document(caller, newer))
    return Comparison(None if older is None else older.number, newer.number, found)


def _read(
    tx: Transaction, state: State, before: str | None, after: str
) -> tuple[StateVersion | None, StateVersion]:
    """Read both versions with their bodies, and write the audit entry."""
    tx.require("state:read", state.project_id)
    newer = versions.numbered(tx.db, state, after)
    older = _before(tx.db, newer) if before is None else versions.numbered(tx.db, state, before)
    for version in (older, newer):
        if version is not None:
            states.refuse_removed(version)
            diff.check_size(version.size)
    audit.record(
        tx, "state.diff", state.id, project_id=state.project_id,
        before=None if older is None else older.number, number=newer.number,
    )  # fmt: skip
    return older, newer


def _before(db: Session, version: StateVersion) -> StateVersion | None:
    return db.scalars(
        select(StateVersion)
        .where(
            StateVersion.state_id == version.state_id,
            StateVersion.number < version.number,
            StateVersion.removed_at.is_(None),
        )
        .order_by(StateVersion.number.desc())
        .limit(1)
        .options(undefer(StateVersion.sealed))
    ).one_or_none()


def _document(caller: Caller, version: StateVersion) -> bytes:
    return b"".join(states.content(version, caller.here.keyring, caller.here.blobs))
