"""State versions as people look at them: by number or as the latest one, and who wrote them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from backend import audit, states
from backend.errors import NotFound
from backend.models import Run, State, StateVersion
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.principal import Principal

LATEST = "latest"


def get(db: Session, state: State, which: str) -> StateVersion:
    """The version of this number, or the latest, with its body.

    Raises NotFound, and Gone for the latest one of a deleted state.
    """
    if which != LATEST:
        return states.version(db, state, int(which))
    newest = states.current(db, state)
    if newest is None:
        raise NotFound("This state was never written.", code="never-written")
    return newest


def find_all(
    db: Session, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[StateVersion]:
    """Newest first, without their bodies. The cursor is a version's number."""
    query = _newest_first(state).limit(limit + 1)
    if after is not None:
        query = query.where(StateVersion.number < int(after))
    found = db.scalars(query).all()
    return cut(found, limit, lambda version: str(version.number))


def newest(db: Session, state: State) -> StateVersion | None:
    """The newest version without its body, of a deleted state too."""
    return db.scalars(_newest_first(state).limit(1)).one_or_none()


def _newest_first(state: State) -> Select[StateVersion]:
    return (
        select(StateVersion)
        .where(StateVersion.state_id == state.id)
        .order_by(StateVersion.number.desc())
    )


def download(db: Session, principal: Principal, state: State, which: str) -> StateVersion:
    """`get`, and an entry in the audit log: a state is full of secrets."""
    version = get(db, state, which)
    audit.record(
        db, principal, "state.download", state.id, project_id=state.project_id,
        number=version.number,
    )  # fmt: skip
    return version


def written_by(db: Session, run: Run) -> Sequence[int]:
    """The numbers of the versions that a run wrote."""
    return db.scalars(
        select(StateVersion.number)
        .where(StateVersion.run_id == run.id)
        .order_by(StateVersion.number)
    ).all()
