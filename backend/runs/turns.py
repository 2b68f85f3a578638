"""Whose turn it is: the conditions, in SQL, under which a worker may take a run.

waiting.py says the same of one run in words.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from backend.db import now
from backend.models import (
    ACTIVE,
    HARMLESS,
    PLANNED,
    Lock,
    Project,
    Run,
    State,
    Workspace,
    came_before,
)
from backend.states import lock_statements, rescued

OTHER = aliased(Run)  # another run; making one takes milliseconds
# what an earlier run made may be in its rescued write alone: the next one would make it again
_UNDECIDED = rescued.of_runs(Run.workspace_id)


def takeable(queues: Collection[str], most_at_work: int) -> ColumnElement[bool]:
    """A run that a worker of these queues may take now. 0 is no limit of the installation."""
    mine = Run.queue.in_(tuple(queues))
    turn = or_(_approved(), _queued())
    return and_(mine, turn, ~_project_is_full(), ~_installation_is_full(most_at_work))


def rank() -> ColumnElement[int]:
    """Approved plans come first, and runs that only plan last: many never hold up one apply."""
    return case((Run.status == PLANNED, 0), (Run.operation.in_(HARMLESS), 2), else_=1)


def ahead_of(run: type[Run]) -> ColumnElement[bool]:
    """Whether OTHER is a run of the same workspace that this one waits for."""
    return and_(
        OTHER.workspace_id == run.workspace_id,
        OTHER.id != run.id,
        OTHER.operation.not_in(HARMLESS),
        or_(OTHER.blocking, and_(OTHER.status == "queued", came_before(OTHER, run))),
    )


def shared_backend_is_busy() -> ColumnElement[bool]:
    return and_(
        Run.operation.not_in(HARMLESS),
        exists().where(
            Workspace.id == Run.workspace_id,
            OTHER.own_backend == Workspace.own_backend,
            OTHER.blocking,
        ),
    )


def locked_for_long(patience: timedelta) -> ColumnElement[bool]:
    """A run that has waited so long for a lock that is no run's."""
    asked = func.coalesce(Run.approved_at, Run.created_at)
    waits = or_(Run.status == "queued", and_(Run.status == PLANNED, Run.approved_at.is_not(None)))
    since = and_(Lock.acquired_at < now(-patience), asked < now(-patience))
    return and_(waits, Run.operation.not_in(HARMLESS), _locked_from_outside(since))


def _approved() -> ColumnElement[bool]:
    """A plan that may be applied now. Its run has kept the workspace since it was claimed."""
    in_time = or_(Run.not_before.is_(None), Run.not_before <= now())
    approved = and_(Run.status == PLANNED, Run.approved_at.is_not(None), in_time)
    return and_(approved, ~_frozen(), ~_locked_from_outside())


def _queued() -> ColumnElement[bool]:
    """A queued run whose turn it is. One that changes nothing waits for no run and no lock."""
    its_turn = and_(~exists().where(ahead_of(Run)), ~_locked_from_outside())
    free = or_(Run.operation.in_(HARMLESS), its_turn)
    return and_(Run.status == "queued", free, ~_frozen(), ~_UNDECIDED)


def _frozen() -> ColumnElement[bool]:
    """A run that was queued before the freeze waits for its end: a person may cancel it."""
    return exists().where(Workspace.id == Run.workspace_id, Workspace.frozen_at.is_not(None))


def _locked_from_outside(*more: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether somebody else than a run holds the lock of the state, and may keep it."""
    kept = ~or_(
        func.coalesce(lock_statements.EXPIRED, False),
        func.coalesce(lock_statements.SILENT, False),
    )
    return exists().where(
        State.workspace_id == Run.workspace_id,
        Workspace.id == Run.workspace_id,
        Workspace.own_backend.is_(None),
        Lock.state_id == State.id,
        Lock.held,
        Lock.run_id.is_(None),
        kept,
        *more,
    )


def _project_is_full() -> ColumnElement[bool]:
    at_work = (
        select(func.count())
        .where(OTHER.project_id == Run.project_id, OTHER.status.in_(ACTIVE))
        .scalar_subquery()
    )
    return exists().where(Project.id == Run.project_id, Project.max_runs <= at_work)


def _installation_is_full(most: int) -> ColumnElement[bool]:
    at_work = select(func.count()).where(OTHER.status.in_(ACTIVE)).scalar_subquery()
    return and_(most > 0, at_work >= most)  # type: ignore[arg-type]  # a plain bool is fine
