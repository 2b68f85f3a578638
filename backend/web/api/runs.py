from __future__ import annotations

from typing import Annotated, Literal

from flask import Response
from pydantic import Field

from backend.catalogue import projects, run_variables, templates
from backend.errors import Conflict
from backend.models import Project, Workspace
from backend.models import Run as RunRow
from backend.runs import approvals, comments, queue, steps
from backend.runs.targets import LONGEST, MOST
from backend.states import workspaces
from backend.transactions import Transaction
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Body,
    Cursor,
    OptionalBody,
    ProjectPath,
    Reference,
    Repeatable,
    WorkspacePath,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.new_workspace import NewVariable
from backend.web.api.run_answers import (
    Comment,
    Comments,
    Operation,
    RunDetail,
    RunPath,
    Runs,
    Status,
    StatusGroup,
    Step,
    Steps,
    detail,
    summary,
)
from backend.web.current import reading, transaction

bp = blueprint("runs", "Executions of terraform or tofu")

Address = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class RunFilter(Cursor):
    workspace: Reference | None = Field(None, description="Only runs of this workspace")
    template: Reference | None = Field(None, description="Only runs of this template")
    status: Status | StatusGroup | None = Field(
        None,
        description="Only runs in this status, or in one of a group. `undecided`: planned without "
        "an approval, or lost and not acknowledged; `waiting`: queued, or approved and not at work "
        "yet; `at_work`: preparing, planning or applying; `failed`: errored, stale or lost",
    )
    operation: Operation | None = Field(None, description="Only runs of this operation")
    created_by: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00]*$",
        description="Only runs that this user or token has queued: a name",
    )


class NewWorkspaceRun(Body):
    operation: Operation = Field(
        "apply",
        description=(
            "`refresh` writes what the resources are now into the state, and changes nothing else; "
            "`drift` only looks for what was changed outside. "
            "`import-state` moves the state here from the backend that the sources configure, and "
            "`export-state` moves it there and closes it here. Both need runs:approve and "
            "state:write too. "
            "`plan` and `drift` end as `planned_and_finished`; `apply`, `destroy` and `refresh` "
            "wait as `planned` until somebody approves the plan"
        ),
    )
    ref: str | None = Field(
        None,
        max_length=255,
        description="A branch, tag or commit instead of the template's. The template has to allow "
        "it (`allowed_refs`): a name that it does not allow is refused with `ref-not-allowed` at "
        "once, a commit that no allowed branch or tag contains by the worker",
    )
    message: str = Field("", max_length=2000, pattern=r"^[^\x00]*$", description="Why")
    targets: list[Address] = Field(
        default=[],
        max_length=MOST,
        description="Addresses of resources or modules: the run is about them, and about what they "
        "depend on. Not for transfers. A plan with targets is incomplete",
    )
    replace: list[Address] = Field(
        default=[],
        max_length=MOST,
        description="Addresses of resource instances that are destroyed and made again. Only for "
        "plan and apply",
    )
    priority: Literal["low", "normal", "high"] = Field(
        "normal",
        description="Of two runs whose turn it is, the one with the higher priority begins first. "
        "The runs of one workspace keep their order. high needs runs:approve",
    )
    auto_approve: bool = Field(
        default=False,
        description="Apply the plan, whatever it is, without waiting for an approval. It needs "
        "runs:approve. A run that goes back waits all the same, unless `allow_older` is true",
    )
    cli_workspace: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f]*$",
        description="For import-state: take the state of this CLI workspace (`terraform workspace`)"
        ", although others have one too, or the sources use terraform.workspace",
    )
    start_empty: bool = Field(
        default=False,
        description="Begin with an empty state although there may be a state in another backend or "
        "in the repository. A workspace has a field of this name for all of its runs",
    )

    allow_older: bool = Field(
        default=False,
        description="Apply although the sources do not contain the commit of the last apply, or "
        "are of another repository or folder (see `goes_back`)",
    )

    variables: list[NewVariable] = Field(
        default_factory=list,
        max_length=run_variables.MOST,
        description="Answers to the survey of the template, whose types count; they win over the "
        "workspace. What the survey does not ask for needs templates:manage, unless it is for "
        "terraform and the template has `free_variables`",
    )


class NewRun(NewWorkspaceRun):
    workspace: Reference | None = Field(
        None, description="Default: the workspace of the template, or else of the project"
    )
    template: Reference | None = Field(None, description="Run in the template's default workspace")


class Said(OptionalBody):
    comment: str = Field(
        "", max_length=comments.LONGEST, pattern=r"^[^\x00]*$", description="Why; others see it"
    )


class Approval(Said):
    overrule: bool = Field(
        default=False,
        description="Approve the plan although it breaks a rule of its template that lets itself "
        "be overruled (`ask` in `findings`). It needs templates:manage too",
    )


class NewComment(Body):
    text: str = Field(min_length=1, max_length=comments.LONGEST, pattern=r"^[^\x00]*$")


@bp.get("/projects/<project>/runs", responses={200: Runs})
def list_runs(path: ProjectPath, query: RunFilter) -> Response:
    """The runs of a project, newest first."""
    with reading() as tx:
        project = projects.named(tx, path.project)
        found = queue.find_all(
            tx, project, workspace=query.workspace, template=query.template, status=query.status,
            operation=query.operation, created_by=query.created_by,
            after=query.cursor, limit=query.limit,
        )  # fmt: skip
        items = [summary(run) for run in found.items]
    return answer(Runs(items=items, next_cursor=found.next_cursor))


@bp.post("/projects/<project>/runs", responses={201: RunDetail, **WITH_BODY})
def create_run(path: ProjectPath, header: Repeatable, body: NewRun) -> Response:
    """Queue a run in a workspace, or in the default one of a template or of the project."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        template = None
        if body.template is not None:
            template = templates.chosen(tx.db, project, body.template)
        workspace = workspaces.chosen(tx.db, project, body.workspace, template)
        run = _queue(tx, header, project, workspace, body)
    return answer(run, 201)


@bp.post(f"{WORKSPACE}/runs", responses={201: RunDetail, **WITH_BODY})
def create_workspace_run(
    path: WorkspacePath, header: Repeatable, body: NewWorkspaceRun
) -> Response:
    """Queue a run in this workspace."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        run = _queue(tx, header, workspace.project, workspace, body)
    return answer(run, 201)


@bp.get("/projects/<project>/runs/<run>", responses={200: RunDetail})
def get_run(path: RunPath) -> Response:
    """One run: its progress, what was detected, and what it changed."""
    with reading() as tx:
        found = detail(tx, queue.get(tx, projects.named(tx, path.project), path.run))
    return answer(found)


@bp.get("/projects/<project>/runs/<run>/steps", responses={200: Steps})
def list_steps(path: RunPath) -> Response:
    """The steps of a run, in order."""
    with reading() as tx:
        found = steps.find_all(tx, _run(tx, path))
    return answer(Steps(items=[Step.model_validate(step) for step in found]))


DECIDED = {200: RunDetail, **WITH_BODY, **problems(409)}


@bp.post("/projects/<project>/runs/<run>/approve", responses=DECIDED)
def approve_run(path: RunPath, body: Approval) -> Response:
    """Let a worker apply the plan of a run, exactly as it is.

    403 `second-person` says that the template wants somebody else to approve it than who queued it,
    and 409 `rule-broken` that the plan breaks a rule, which `overrule` would overrule.

    409 `plan-stale` says that the plan cannot be applied any more, and why: the run is `stale`
    then, and can be planned again (retry).
    """
    with transaction() as tx:
        project = projects.named(tx, path.project)
        run = approvals.approve(tx, project, path.run, body.comment, overrule=body.overrule)
        found = detail(tx, run)
    if found.error is not None:
        raise Conflict(found.error.message, code=found.error.code, run_status=found.status)
    return answer(found)


@bp.post("/projects/<project>/runs/<run>/discard", responses=DECIDED)
def discard_run(path: RunPath, body: Said) -> Response:
    """End a planned run without applying it. It needs runs:approve or runs:cancel."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        found = detail(tx, approvals.discard(tx, project, path.run, body.comment))
    return answer(found)


@bp.post("/projects/<project>/runs/<run>/cancel", responses=DECIDED)
def cancel_run(path: RunPath, body: Said) -> Response:
    """Stop a run. The tool saves the state and unlocks it before it ends."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        run = queue.cancel(tx, project, path.run, force=False, comment=body.comment)
        found = detail(tx, run)
    return answer(found)


@bp.post("/projects/<project>/runs/<run>/force-cancel", responses=DECIDED)
def force_cancel_run(path: RunPath, body: Said) -> Response:
    """Kill a run at once. Changes since the tool last saved are not in the state."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        run = queue.cancel(tx, project, path.run, force=True, comment=body.comment)
        found = detail(tx, run)
    return answer(found)


@bp.post("/projects/<project>/runs/<run>/acknowledge", responses=DECIDED)
def acknowledge_run(path: RunPath, body: Said) -> Response:
    """Confirm that you have looked at a lost run, so that its workspace can run again.

    If a state that it wrote is in a rescued write, promote or dismiss that first: 409
    `rescued-undecided`.
    """
    with transaction() as tx:
        project = projects.named(tx, path.project)
        found = detail(tx, queue.acknowledge(tx, project, path.run, body.comment))
    return answer(found)


@bp.get("/projects/<project>/runs/<run>/comments", responses={200: Comments})
def list_comments(path: RunPath) -> Response:
    """What was said about a run, oldest first."""
    with reading() as tx:
        found = comments.find_all(tx, _run(tx, path))
        items = [Comment.model_validate(comment) for comment in found]
    return answer(Comments(items=items))


@bp.post("/projects/<project>/runs/<run>/comments", responses={201: Comment, **WITH_BODY})
def create_comment(path: RunPath, body: NewComment) -> Response:
    """Say something about a run. It needs runs:create."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        made = Comment.model_validate(comments.add(tx, project, path.run, body.text))
    return answer(made, 201)


def _run(tx: Transaction, path: RunPath) -> RunRow:
    return queue.named(tx.db, projects.named(tx, path.project), path.run)


def _queue(
    tx: Transaction,
    header: Repeatable,
    project: Project,
    workspace: Workspace,
    body: NewWorkspaceRun,
) -> RunDetail:
    fields = body.model_dump(exclude={"workspace", "template", "variables"})
    new = queue.NewRun(**fields, variables=[one.new() for one in body.variables])
    run = once(
        tx,
        header,
        lambda: queue.queue(tx, workspace, new),
        lambda made: queue.named(tx.db, project, made),
    )
    return detail(tx, run)
