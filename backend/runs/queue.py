"""Runs as people ask for them: queued, listed, canceled, acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from backend import audit
from backend.db import now
from backend.errors import Conflict, Invalid, NotFound
from backend.models import ENDED, TRANSFERS, Project, Run, Workspace, came_before
from backend.principal import Principal
from backend.runs.moves import move
from backend.states import refusals, states

OPERATIONS = ("plan", "apply", "destroy", *TRANSFERS)


def queue(  # noqa: PLR0913 what to run, where, and why
    db: Session,
    principal: Principal,
    workspace: Workspace,
    operation: str,
    *,
    ref: str | None = None,
    message: str = "",
    start_empty: bool = False,
) -> Run:
    """A new run at the end of its workspace's queue. Ring the bell after the commit.

    Raises Invalid; Conflict for a workspace without a template, or whose state takes no lock.
    """
    principal.require("runs:create", workspace.project_id)
    if operation not in OPERATIONS:
        raise Invalid(f"There is no operation {operation!r}: it is one of {', '.join(OPERATIONS)}.")
    if workspace.template_id is None:
        raise Conflict(
            f"The workspace {workspace.name!r} has no template: it keeps a state, and nothing runs "
            "in it. Give it a template, or run terraform from outside.",
            code="no-template",
        )
    refusal = refusals.of(db, states.of_workspace(db, workspace))
    if refusal and refusal.code != "state-archived":  # its plan would find no lock
        raise refusal.as_conflict()
    run = Run(
        project_id=workspace.project_id,
        template_id=workspace.template_id,
        workspace_id=workspace.id,
        operation=operation,
        ref=ref,
        message=message,
        start_empty=start_empty,
        created_by=principal.name,
    )
    db.add(run)
    db.flush()
    audit.record(db, principal, "run.queue", run.id, project_id=run.project_id, operation=operation)
    return run


def get(db: Session, project: Project, run_id: str) -> Run:
    run = db.scalars(
        select(Run)
        .where(Run.id == run_id, Run.project_id == project.id)
        .options(joinedload(Run.workspace), joinedload(Run.template))
    ).one_or_none()
    if run is None:
        raise NotFound(f"There is no run {run_id} in the project {project.name}.")
    return run


def find_all(  # noqa: PLR0913 the filters of one list
    db: Session,
    project: Project,
    *,
    workspace_id: str | None = None,
    status: str | None = None,
    before: str | None = None,
    limit: int = 50,
) -> Sequence[Run]:
    """Newest first, those before the run `before`."""
    found = (
        select(Run)
        .where(Run.project_id == project.id)
        .options(joinedload(Run.workspace), joinedload(Run.template))
    )
    if workspace_id is not None:
        found = found.where(Run.workspace_id == workspace_id)
    if status is not None:
        found = found.where(Run.status == status)
    if before is not None:
        found = found.where(Run.id < before)
    return db.scalars(found.order_by(Run.id.desc()).limit(limit)).all()


def blocked_by(db: Session, run: Run) -> Run | None:
    """The run that a queued one waits for: the one at work, else the one before it."""
    if run.status != "queued":
        return None
    other = aliased(Run)
    return db.scalars(
        select(other)
        .where(other.workspace_id == run.workspace_id, other.id != run.id)
        .where(or_(other.blocking, and_(other.status == "queued", came_before(other, run))))
        .order_by(other.blocking.desc(), other.created_at, other.id)
        .limit(1)
    ).one_or_none()


def cancel(db: Session, principal: Principal, run: Run, *, force: bool) -> None:
    """Ask a run to stop. A queued one is canceled at once; its worker is told otherwise.

    Raises Conflict when it has ended already.
    """
    principal.require("runs:cancel", run.project_id)
    db.refresh(run, with_for_update={"of": Run})
    if run.status in ENDED:
        raise Conflict(f"The run has ended already: it is {run.status}.", code="run-ended")
    if run.cancel_requested_at is None:
        run.cancel_requested_at = db.scalar(select(now()))
    run.force_cancel = run.force_cancel or force
    audit.record(db, principal, "run.cancel", run.id, project_id=run.project_id, force=force)
    if run.status == "queued":
        db.flush()
        move(db, run, "canceled", principal=principal)


def acknowledge(db: Session, principal: Principal, run: Run) -> None:
    """A person has looked at a lost run: its workspace may go on. Raises Conflict otherwise."""
    principal.require("runs:approve", run.project_id)
    db.refresh(run, with_for_update={"of": Run})
    if run.status != "lost":
        raise Conflict(f"Only a lost run is acknowledged; this one is {run.status}.")
    if run.acknowledged_at is None:
        run.acknowledged_at = db.scalar(select(now()))
        run.blocking = False
        audit.record(db, principal, "run.acknowledge", run.id, project_id=run.project_id)
