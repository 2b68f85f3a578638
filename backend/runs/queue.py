"""What people do with runs: queue, list, cancel, acknowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from backend import audit
from backend.catalogue import run_variables, sources, templates
from backend.catalogue.variables import NewVariable
from backend.db import now
from backend.errors import Conflict, Invalid, NotFound
from backend.models import (
    ACTIVE,
    ENDED,
    HARMLESS,
    TRANSFERS,
    Project,
    Run,
    Template,
    Workspace,
    came_before,
)
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.runs import comments, filters, rules, targets
from backend.runs.moves import move
from backend.states import refusals, rescued, states, workspaces
from backend.transactions import Transaction

OPERATIONS = ("plan", "apply", "destroy", "refresh", "drift", *TRANSFERS)
PRIORITIES = {"low": -1, "normal": 0, "high": 1}
_OTHER = aliased(Run)  # another run of the workspace; making one takes milliseconds


@dataclass(frozen=True)
class NewRun:
    """A requested run. `auto_approve`: apply it, whatever its plan is.

    `start_empty` allows a new state although another backend has one.

    `targets` are addresses of all that it is about, if it is not about everything; `replace` those
    of resources that are destroyed and made again.
    `allow_older` allows to apply a commit that does not contain that of the last apply.
    `cli_workspace` names the one whose state `import-state` takes. `retry_of` is the run that has
    the same inputs.
    """

    operation: str
    ref: str | None = None
    message: str = ""
    targets: Sequence[str] = ()
    replace: Sequence[str] = ()
    priority: str = "normal"
    auto_approve: bool = False
    start_empty: bool = False
    allow_older: bool = False
    cli_workspace: str | None = None
    variables: Sequence[NewVariable] = ()
    retry_of: str | None = None


def queue(tx: Transaction, workspace: Workspace, new: NewRun) -> Run:
    """Queue a run in its workspace. The workers are told after the commit.

    To plan is not to approve: `auto_approve` and transfers, which have no plan, need runs:approve,
    and transfers state:write too. Raises Forbidden, also for a ref that the template does not
    allow, Invalid, and Conflict for a workspace without a template, one whose state takes no lock,
    or a run that cannot keep the template's rules.
    """
    tx.require("runs:create", workspace.project_id)
    operation = new.operation
    if operation not in OPERATIONS:
        raise Invalid(f"There is no operation {operation!r}: it is one of {', '.join(OPERATIONS)}.")
    if new.auto_approve:
        hint = "Without auto_approve the run waits until somebody approves its plan."
        tx.require("runs:approve", workspace.project_id, hint)
    if new.priority == "high":
        hint = "Who may approve runs may queue one before those of others."
        tx.require("runs:approve", workspace.project_id, hint)
    if operation in TRANSFERS:
        hint = f"{operation} has no plan that somebody could approve."
        tx.require("runs:approve", workspace.project_id, hint)
        tx.require("state:write", workspace.project_id)
    if new.cli_workspace is not None and operation != "import-state":
        raise Invalid("Only import-state has a CLI workspace.", code="cli-workspace-useless")
    targets.check(operation, new.targets, new.replace)
    if workspace.template_id is None:
        raise Conflict(
            f"The workspace {workspace.name!r} has no template: it only keeps a state. Give it a "
            "template, or run terraform yourself.",
            code="no-template",
        )
    refusal = refusals.of(tx.db, states.of_workspace(tx.db, workspace))
    if refusal and refusal.code != "state-archived":  # its plan would find no lock
        raise refusal.as_conflict()
    template = tx.db.get_one(Template, workspace.template_id)
    rules.refuse_at_once(rules.of(template), operation)
    ref = sources.check_ref(new.ref)
    rule = tx.here.rule_of_ref(ref, template.ref, template.allowed_refs)
    given = run_variables.checked(tx, workspace, template, operation, new.variables)
    run = Run(
        project_id=workspace.project_id,
        template_id=template.id,
        workspace_id=workspace.id,
        operation=operation,
        ref=ref,
        ref_rule=rule,
        message=new.message,
        targets=list(new.targets),
        replace=list(new.replace),
        queue=template.queue,
        priority=PRIORITIES[new.priority],
        auto_approve=new.auto_approve,
        may_approve=tx.principal.may("runs:approve", workspace.project_id),
        start_empty=new.start_empty,
        allow_older=new.allow_older,
        cli_workspace=new.cli_workspace,
        retry_of=new.retry_of,
        created_by=tx.principal.name,
        created_by_id=rules.identity(tx.db, tx.principal),
    )
    tx.db.add(run)
    tx.db.flush()
    run_variables.store(tx, run, given)
    audit.record(
        tx, "run.queue", run.id, project_id=run.project_id, operation=operation,
        allow_older=new.allow_older or None, start_empty=new.start_empty or None,
        cli_workspace=new.cli_workspace, targets=list(new.targets) or None,
        replace=list(new.replace) or None,
        auto_approve=new.auto_approve or None, retry_of=new.retry_of,
        variables=[f"{one.kind}/{one.name}" for one in given] or None,
    )  # fmt: skip
    tx.ring(run.id, run.queue)
    return run


def get(tx: Transaction, project: Project, run_id: str) -> Run:
    """One run of the project. Raises NotFound."""
    tx.require("runs:read", project.id)
    return named(tx.db, project, run_id)


def named(db: Session, project: Project, run_id: str) -> Run:
    run = db.scalars(
        select(Run)
        .where(Run.id == run_id, Run.project_id == project.id)
        .options(joinedload(Run.workspace), joinedload(Run.template))
    ).one_or_none()
    if run is None:
        raise NotFound(f"There is no run {run_id} in the project {project.name}.")
    return run


def of_workspace(tx: Transaction, workspace: Workspace, run_id: str) -> Run:
    """One run of the workspace. Raises NotFound."""
    tx.require("runs:read", workspace.project_id)
    wanted = select(Run).where(Run.id == run_id, Run.workspace_id == workspace.id)
    run = tx.db.scalars(wanted).one_or_none()
    if run is None:
        raise NotFound(f"There is no run {run_id} in the workspace {workspace.name}.")
    return run


def find_all(  # noqa: PLR0913 the filters of one list
    tx: Transaction,
    project: Project,
    *,
    workspace: str | None = None,
    template: str | None = None,
    status: str | None = None,
    operation: str | None = None,
    created_by: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Run]:
    """Runs, newest first; each filter leaves out others. `status` may be a group of them.

    Raises NotFound for a workspace or a template that there is not.
    """
    tx.require("runs:read", project.id)
    found = (
        select(Run)
        .where(Run.project_id == project.id)
        .options(joinedload(Run.workspace), joinedload(Run.template))
    )
    if workspace is not None:
        only = workspaces.in_project(tx.db, project, workspace)
        found = found.where(Run.workspace_id == only.id)
    if template is not None:
        found = found.where(Run.template_id == templates.named(tx.db, project, template).id)
    if status is not None:
        found = found.where(filters.in_status(status))
    if operation is not None:
        found = found.where(Run.operation == operation)
    if created_by is not None:
        found = found.where(Run.created_by == created_by)
    if after is not None:
        found = found.where(Run.id < after)
    rows = tx.db.scalars(found.order_by(Run.id.desc()).limit(limit + 1)).all()
    return cut(rows, limit, lambda run: run.id)


def blocked_by(db: Session, run: Run) -> Run | None:
    """The run that a queued one waits for: the one at work, or else the one queued before it.

    It may be of another workspace, if the two share a backend.
    """
    return db.get(Run, found) if (found := db.scalar(blocker_of(run))) else None


def blocker_of(run: Run) -> Select[str]:
    """The id of the run that `blocked_by` finds."""
    own_backend = run.workspace.own_backend  # None is no backend that could be shared
    shares = false() if own_backend is None else _OTHER.own_backend == own_backend
    waits = run.status == "queued" and run.operation not in HARMLESS
    return (
        select(_OTHER.id)
        .where(or_(_ahead_of(run), and_(shares, _OTHER.blocking)) if waits else false())
        .order_by(_OTHER.blocking.desc(), _OTHER.created_at, _OTHER.id)
        .limit(1)
    )


def count_ahead(run: Run) -> Select[int]:
    """How many runs of its workspace a queued one waits for."""
    return select(func.count()).select_from(_OTHER).where(_ahead_of(run))


def _ahead_of(run: Run) -> ColumnElement[bool]:
    earlier = and_(_OTHER.status == "queued", came_before(_OTHER, run))
    return and_(
        _OTHER.workspace_id == run.workspace_id,
        _OTHER.id != run.id,
        _OTHER.operation.not_in(HARMLESS),
        or_(_OTHER.blocking, earlier),
    )


def waits_for_rescued(db: Session, run: Run) -> str | None:
    """The id of the rescued write that must be decided before anything runs in the workspace."""
    return db.scalar(rescued.first_of_runs(run.workspace_id))


def cancel(
    tx: Transaction, project: Project, run_id: str, *, force: bool, comment: str = ""
) -> Run:
    """Ask a run to stop. One that no worker has is canceled at once; else its worker is told.

    Raises NotFound, and Conflict when it has ended already.
    """
    tx.require("runs:cancel", project.id)
    run, db = named(tx.db, project, run_id), tx.db
    db.refresh(run, with_for_update={"of": Run})
    if run.status in ENDED:
        raise Conflict(f"The run has already ended: it is {run.status}.", code="run-ended")
    if run.cancel_requested_at is None:
        run.cancel_requested_at = db.scalar(select(now()))
    run.force_cancel = run.force_cancel or force
    audit.record(tx, "run.cancel", run.id, project_id=run.project_id, force=force)
    comments.with_decision(tx, run, "cancel", comment)
    if run.status not in ACTIVE:
        db.flush()
        move(tx, run, "canceled")
    return run


def acknowledge(tx: Transaction, project: Project, run_id: str, comment: str = "") -> Run:
    """Record that a person has looked at a lost run, so that its workspace can go on.

    Raises NotFound, and Conflict for a run that is not lost, or whose last state is in a rescued
    write that nobody has decided on.
    """
    tx.require("runs:approve", project.id)
    run, db = named(tx.db, project, run_id), tx.db
    db.refresh(run, with_for_update={"of": Run})
    if run.status != "lost":
        raise Conflict(f"Only a lost run can be acknowledged; this one is {run.status}.")
    if (kept := waits_for_rescued(db, run)) is not None:
        raise Conflict(
            f"A state that was refused is kept as the rescued write {kept}: what was made may be "
            "in it alone, and the next run would make it again. Promote or dismiss it first.",
            code="rescued-undecided",
            rescued=kept,
        )
    comments.with_decision(tx, run, "acknowledge", comment)
    if run.acknowledged_at is None:
        run.acknowledged_at = db.scalar(select(now()))
        run.blocking = False
        audit.record(tx, "run.acknowledge", run.id, project_id=run.project_id)
    return run
