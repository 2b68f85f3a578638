"""Two versions of a state that somebody wants to compare."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from backend import audit
from backend.documents import diff
from backend.models import State, StateVersion
from backend.principal import Principal
from backend.states import states, versions

NOTHING = b'{"version": 4}'


@dataclass(frozen=True)
class Pair:
    """`before` is None when there is nothing to compare with: then everything was added."""

    before: StateVersion | None
    after: StateVersion


def read(db: Session, principal: Principal, state: State, before: str | None, after: str) -> Pair:
    """Both versions with their bodies, and an entry in the audit log: each is a number or `latest`.

    Without `before` it is the version that came before the other one and still has its body.
    Raises NotFound, Gone for a removed one, and Invalid for one that is too large.
    """
    newer = versions.get(db, state, after)
    older = versions.get(db, state, before) if before is not None else _before(db, newer)
    for version in (older, newer):
        if version is not None:
            states.refuse_removed(version)
            diff.check_size(version.size)
    audit.record(
        db, principal, "state.diff", state.id, project_id=state.project_id,
        before=None if older is None else older.number, number=newer.number,
    )  # fmt: skip
    return Pair(older, newer)


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
