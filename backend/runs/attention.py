"""What needs a person and what is at work, in one project or in all that somebody sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from backend.catalogue.projects import seen
from backend.db import now
from backend.models import (
    ACTIVE,
    HARMLESS,
    PLANNED,
    Drift,
    Lock,
    Project,
    RescuedWrite,
    Run,
    State,
    Worker,
    Workspace,
)
from backend.runs.workers import SILENT_AFTER
from backend.transactions import Transaction

MOST = 20  # of each kind that are listed
MOST_RUNS = 200  # that are looked at for them
FAILED_SINCE = timedelta(days=14)
LOST_SINCE = timedelta(days=90)
OPEN = ("queued", *ACTIVE, PLANNED, "lost", "errored")
STALE_AFTER = timedelta(hours=1)  # the lock of a client that was silent for so long
_LATER = aliased(Run)


@dataclass(frozen=True)
class Place:
    """Something about a workspace: a lock, a drift, or a number of rescued writes."""

    project: str
    workspace: str
    what: Any


@dataclass(frozen=True)
class Attention:
    """`waits` for an approval; `lacks_worker`: runs are queued, and no worker is alive."""

    waits: Sequence[Run]
    lost: Sequence[Run]
    failed: Sequence[Run]
    at_work: Sequence[Run]
    queued: Sequence[Run]
    locks: Sequence[Place]
    drifts: Sequence[Place]
    rescued: Sequence[Place]
    lacks_worker: bool

    @property
    def is_needed(self) -> bool:
        """Whether there is something that a person has to do."""
        places = (self.locks, self.drifts, self.rescued)
        return any((self.waits, self.lost, self.failed, *places)) or self.lacks_worker


def find(tx: Transaction, project: Project | None = None) -> Attention:
    """What needs a person in this project, or in all that the principal sees."""
    if project is None:
        tx.principal.require_held("runs:read")  # every role has it
    else:
        tx.require("runs:read", project.id)
    runs = _open_runs(tx.db, seen(tx.principal, Run.project_id, project))
    queued = [run for run in runs if run.status == "queued" or _is_approved(run)]
    waits = [run for run in runs if run.status == PLANNED and run.approved_at is None]
    return Attention(
        waits=waits[:MOST],
        lost=[run for run in runs if run.status == "lost"][:MOST],
        failed=[run for run in runs if run.status == "errored"][:MOST],
        at_work=[run for run in runs if run.status in ACTIVE][:MOST],
        queued=queued[:MOST],
        locks=_locks(tx.db, seen(tx.principal, State.project_id, project)),
        drifts=_drifts(tx.db, seen(tx.principal, Workspace.project_id, project)),
        rescued=_rescued(tx.db, seen(tx.principal, State.project_id, project)),
        lacks_worker=bool(queued) and not _is_a_worker_alive(tx.db),
    )


def _is_approved(run: Run) -> bool:
    return run.status == PLANNED and run.approved_at is not None


def _open_runs(db: Session, is_seen: ColumnElement[bool]) -> Sequence[Run]:
    """Runs that somebody may have to do something about, the newest first.

    These are the ones that are not over, lost ones until somebody has looked at them, and failed
    ones until another run of the workspace has come further.
    """
    went_on = exists().where(
        _LATER.workspace_id == Run.workspace_id,
        _LATER.created_at > Run.created_at,
        _LATER.operation.not_in(HARMLESS) | Run.operation.in_(HARMLESS),
        _LATER.status.in_(("applied", "planned_and_finished", "errored", PLANNED)),
    )
    is_open = or_(
        Run.status.not_in(("lost", "errored")),
        and_(
            Run.status == "lost", Run.acknowledged_at.is_(None), Run.created_at > now(-LOST_SINCE)
        ),
        and_(Run.status == "errored", Run.created_at > now(-FAILED_SINCE), ~went_on),
    )
    # by an expression, so that no database walks through all runs by their ids
    newest_first = (Run.id + "").desc()
    found = select(Run).where(Run.status.in_(OPEN), is_open, is_seen).order_by(newest_first)
    with_names = joinedload(Run.workspace).joinedload(Workspace.project), joinedload(Run.template)
    return db.scalars(found.options(*with_names).limit(MOST_RUNS)).all()


def _locks(db: Session, is_seen: ColumnElement[bool]) -> list[Place]:
    """Locks of clients that were silent for long, the oldest first."""
    silent = func.coalesce(Lock.last_seen_at, Lock.acquired_at) < now(-STALE_AFTER)
    found = (
        select(Project.name, Workspace.name, Lock)
        .join(State, State.id == Lock.state_id)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(Lock.held, Lock.run_id.is_(None), Lock.expires_at.is_(None), silent, is_seen)
        .order_by(Lock.acquired_at)
        .limit(MOST)
    )
    return [Place(*row) for row in db.execute(found)]


def _drifts(db: Session, is_seen: ColumnElement[bool]) -> list[Place]:
    """Workspaces whose last drift detection has found something, the latest first."""
    found = (
        select(Project.name, Workspace.name, Drift)
        .join(Workspace, Workspace.id == Drift.workspace_id)
        .join(Project, Project.id == Workspace.project_id)
        .where(Drift.resources + Drift.outputs > 0, is_seen)
        .order_by(Drift.looked_at.desc())
        .limit(MOST)
    )
    return [Place(*row) for row in db.execute(found)]


def _rescued(db: Session, is_seen: ColumnElement[bool]) -> list[Place]:
    """Workspaces with refused writes that nobody has decided on, and how many there are."""
    found = (
        select(Project.name, Workspace.name, func.count())
        .select_from(RescuedWrite)
        .join(State, State.id == RescuedWrite.state_id)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(RescuedWrite.decision.is_(None), is_seen)
        .group_by(Project.name, Workspace.name)
        .order_by(Project.name, Workspace.name)
        .limit(MOST)
    )
    return [Place(*row) for row in db.execute(found)]


def _is_a_worker_alive(db: Session) -> bool:
    alive = select(Worker.name).where(Worker.seen_at > now(-SILENT_AFTER)).limit(1)
    return db.scalar(alive) is not None
