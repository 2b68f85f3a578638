"""Runs: the row is the truth. Every move is one compare-and-set on status and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, joinedload

from backend import audit, locks, refusals, steps
from backend.db import now
from backend.errors import Conflict, Invalid, NotFound
from backend.models import ACTIVE, ENDED, Project, Run, State, Workspace
from backend.principal import SYSTEM, Principal

TRANSFERS = ("import-state", "export-state")
OPERATIONS = ("plan", "apply", "destroy", *TRANSFERS)
MAX_ATTEMPTS = 3

# The only moves there are. What is not here is refused.
EDGES: dict[str, frozenset[str]] = {
    "queued": frozenset({"preparing", "canceled"}),
    "preparing": frozenset({"planning", "queued", "errored", "canceled"}),
    # a transfer of a state has no plan: it goes from looking straight to moving
    "planning": frozenset(
        {"planned", "planned_and_finished", "applying", "queued", "errored", "canceled"}
    ),
    "planned": frozenset({"applying", "discarded", "stale", "queued", "errored", "canceled"}),
    "applying": frozenset({"applied", "stale", "errored", "canceled", "lost"}),
}
BLOCKING = frozenset({*ACTIVE, "lost"})


class Moved(Conflict):
    """The run is not where, or not whose, the caller believed."""

    code = "run-moved"


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
    refusal = refusals.of(db, _state(db, workspace))
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


def _state(db: Session, workspace: Workspace) -> State:
    return db.scalars(select(State).where(State.workspace_id == workspace.id)).one()


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
        .where(or_(other.blocking, and_(other.status == "queued", _before(other, run))))
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


def claimable(db: Session, limit: int) -> Sequence[str]:
    """The oldest queued runs whose workspace is free, and not frozen."""
    other = aliased(Run)
    busy = exists().where(other.workspace_id == Run.workspace_id, other.blocking)
    return db.scalars(
        select(Run.id)
        .where(Run.status == "queued", ~busy, ~_frozen())
        .order_by(Run.created_at, Run.id)
        .limit(limit)
    ).all()


def claim(db: Session, run_id: str, worker: str, lease: timedelta) -> Run | None:
    """Take a queued run for a worker under a new epoch; None when it is not there to be taken."""
    other = aliased(Run)
    waits = exists().where(
        other.workspace_id == Run.workspace_id,
        other.id != Run.id,
        or_(other.blocking, and_(other.status == "queued", _before(other, Run))),
    )
    taking = (
        update(Run)
        .where(Run.id == run_id, Run.status == "queued", ~waits, ~_frozen())
        .values(
            status="preparing",
            blocking=True,
            epoch=Run.epoch + 1,
            attempts=Run.attempts + 1,
            worker=worker,
            lease_expires_at=now(lease),
            started_at=func.coalesce(Run.started_at, now()),
        )
        .execution_options(synchronize_session=False)
    )
    try:
        with db.begin_nested():
            taken = db.execute(taking).rowcount  # type: ignore[attr-defined]
    except IntegrityError:  # another run of the workspace was claimed in the same moment
        return None
    if taken == 0:
        return None
    run = db.get_one(Run, run_id, populate_existing=True)
    audit.record(
        db, SYSTEM, "run.preparing", run.id, project_id=run.project_id,
        worker=worker, epoch=run.epoch,
    )  # fmt: skip
    return run


def _frozen() -> ColumnElement[bool]:
    """A run that was queued before the freeze waits for its end: a person may cancel it."""
    return exists().where(Workspace.id == Run.workspace_id, Workspace.frozen_at.is_not(None))


def of_claim(run_id: str, epoch: int | None) -> ColumnElement[bool]:
    """The run, for as long as it is at work under this epoch."""
    return and_(Run.id == run_id, Run.epoch == epoch, Run.status.in_(ACTIVE))


def renew(db: Session, run_id: str, epoch: int, lease: timedelta) -> tuple[bool, bool] | None:
    """Prolong the lease of one epoch. Whether to stop, and whether at once; None when fenced."""
    row = db.execute(
        update(Run)
        .where(of_claim(run_id, epoch))
        .values(lease_expires_at=now(lease))
        .returning(Run.cancel_requested_at, Run.force_cancel)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return None if row is None else (row[0] is not None, row[1])


def heard(db: Session, run_id: str, epoch: int) -> tuple[bool, bool] | None:
    """Whether the run of this epoch should stop, and whether at once; None when fenced."""
    row = db.execute(
        select(Run.cancel_requested_at, Run.force_cancel).where(of_claim(run_id, epoch))
    ).one_or_none()
    return None if row is None else (row[0] is not None, row[1])


def at_work(db: Session, run_id: str, epoch: int) -> bool:
    return heard(db, run_id, epoch) is not None


def of_epoch(db: Session, run_id: str, epoch: int) -> Run:
    """The run, for as long as it is still of this epoch and at work. Raises Moved."""
    run = db.scalars(select(Run).where(of_claim(run_id, epoch))).one_or_none()
    if run is None:
        raise Moved(f"The run {run_id} was taken from this worker.")
    return run


def note(db: Session, run_id: str, epoch: int, **facts: Any) -> None:
    """Write facts into the row of a run at work. Raises Moved."""
    noted = db.execute(
        update(Run)
        .where(of_claim(run_id, epoch))
        .values(facts)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if noted == 0:
        raise Moved(f"The run {run_id} was taken from this worker.")


def move(
    db: Session, run: Run, status: str, *, principal: Principal = SYSTEM, **values: Any
) -> None:
    """One step along EDGES, for the status and epoch that `run` was read with. Raises Moved."""
    if status not in EDGES.get(run.status, frozenset()):
        raise Moved(f"A run does not go from {run.status} to {status}.")
    ended = status in ENDED
    changes = {
        "status": status,
        "blocking": status in BLOCKING,
        **({"finished_at": now(), "lease_expires_at": None} if ended else {}),
        **values,
    }
    moved = db.execute(
        update(Run)
        .where(Run.id == run.id, Run.status == run.status, Run.epoch == run.epoch)
        .values(changes)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if moved == 0:
        raise Moved(f"The run {run.id} is no longer {run.status} under epoch {run.epoch}.")
    audit.record(
        db, principal, f"run.{status}", run.id, project_id=run.project_id, epoch=run.epoch,
        error=values.get("error_code"),
    )  # fmt: skip
    if ended or status == "queued":
        locks.release_of_run(db, principal, run.id)
        steps.end_open(db, run)
    db.refresh(run)


def expire_leases(db: Session) -> list[str]:
    """Take runs from workers that are silent; the ids of those that are to be rung for again.

    A run that never began to apply is queued again (bounded); one that did is lost: an apply is
    never started twice.
    """
    silent = db.scalars(
        select(Run)
        .where(Run.status.in_(ACTIVE), Run.lease_expires_at < now())
        .order_by(Run.id)  # reconcilers that meet wait for each other, and never in a circle
    ).all()
    again = []
    for run in silent:
        try:
            with db.begin_nested():
                status = _take_away(db, run)
        except Moved:
            continue  # it was renewed, or another reconciler was first
        if status == "queued":
            again.append(run.id)
    return again


def _take_away(db: Session, run: Run) -> str:
    fenced: dict[str, Any] = {"epoch": run.epoch + 1, "worker": None, "lease_expires_at": None}
    if run.status == "applying":
        status = "lost"
        fenced |= {"error_code": "worker-lost", "error_message": _lost(db, run)}
    elif run.cancel_requested_at is not None:
        status = "canceled"
    elif run.attempts >= MAX_ATTEMPTS:
        message = f"Its worker fell silent {run.attempts} times before the apply; queue it again."
        status = "errored"
        fenced |= {"error_code": "worker-lost", "error_message": message}
    else:
        status = "queued"
    move(db, run, status, **fenced)
    return status


def _lost(db: Session, run: Run) -> str:
    """How far it may have come, and what to do."""
    state = _state(db, run.workspace)
    if run.operation == "import-state":
        was = "imported a state"
        known = f"The state here is at version {state.current}: import-state may be queued again."
    elif run.operation == "export-state" and state.archived_at is not None:
        was, known = "exported the state", f"It had been moved to {state.archived_to} by then."
    elif run.operation == "export-state":
        was = "exported the state"
        known = (
            "The state here is still the one in use, and a copy of it may be at its target: "
            "export-state may be queued again, and goes on with that copy."
        )
    else:
        was = "applied"
        known = "What it saved is in the state; compare it with what really exists."
    return (
        f"The worker {run.worker} fell silent while it {was}. {known} Look at it, and acknowledge "
        "this run to free its workspace."
    )


def _before(one: Any, other: Any) -> ColumnElement[bool]:
    same = and_(one.created_at == other.created_at, one.id < other.id)
    return or_(one.created_at < other.created_at, same)
