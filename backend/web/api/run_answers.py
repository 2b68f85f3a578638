"""What the API tells of a run."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from backend.models import ACTIVE
from backend.models import Run as RunRow
from backend.runs import failures, overviews
from backend.transactions import Transaction
from backend.web.api.answers import Answer, Named, Page, ProjectPath

Operation = Literal[
    "plan", "apply", "destroy", "refresh", "drift", "import-state", "export-state"
]  # fmt: skip
Status = Literal[
    "queued", "preparing", "planning", "planned", "applying", "applied", "planned_and_finished",
    "discarded", "stale", "errored", "canceled", "lost",
]  # fmt: skip
StatusGroup = Literal["undecided", "waiting", "at_work", "failed"]


class RunPath(ProjectPath):
    run: str = Field(max_length=40, pattern=r"^[^\x00]*$", description="The run's id")


class RunError(Answer):
    code: str = Field(description="Stable, for programs")
    message: str = Field(description="For people: the cause")
    next: str = Field(description="For people: the next step, with the commands to type")
    facts: dict[str, Any] = Field(
        description="For programs: what the error names, such as `variables`, `file` and `line`, "
        "`holder` of a lock"
    )


class Finding(Answer):
    rule: str = Field(description="Which of the template's `rules`")
    message: str = Field(description="For people: what the plan does, with addresses")
    decision: Literal["refuse", "ask", "approval"] = Field(
        description="refuse: no such plan is applied, and the run ends with `rule-broken`; ask: "
        "whoever approves the plan has to overrule the rule; approval: a person has to approve "
        "it, auto_approve does not"
    )


class GoesBack(Answer):
    reason: Literal["commit", "repository", "path"] = Field(
        description="commit: it does not contain that of the last apply, as far as can be known; "
        "repository, path: these were others at the last apply"
    )
    run: str = Field(description="The run of the last apply")
    commit: str = Field(description="The commit of the last apply")
    message: str
    deletes: list[str] = Field(
        default=[], description="The addresses of what the plan deletes, up to 1,000 of them"
    )


class Step(Answer):
    name: str
    status: str
    epoch: int = Field(description="The number of the claim that it belongs to")
    position: int
    detail: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None


class Steps(Answer):
    items: list[Step]


class Run(Answer):
    id: str
    operation: Operation
    status: Status
    workspace: Named
    template: Named
    ref: str | None
    ref_rule: str | None = Field(
        description="Which rule of the template allows the ref: `own` (the template's own ref, or "
        "a commit in it), a pattern of `allowed_refs`, or `any`. null: a commit that the worker "
        "has not checked yet"
    )
    message: str
    targets: list[str] = Field(description="Empty: it is about everything")
    replace: list[str]
    retry_of: str | None = Field(description="The run whose inputs it has")
    start_empty: bool
    cli_workspace: str | None
    allow_older: bool
    auto_approve: bool
    commit: str | None
    goes_back: GoesBack | None = Field(
        description="Why it may take back what the last apply made; null: it does not, or is not "
        "that far yet"
    )
    changes: dict[str, Any] | None = Field(
        description="What the plan counts: add, change, destroy, replace (these are in add and "
        "destroy too), import, move, forget, read (data sources), actions, outputs"
    )
    findings: list[Finding] = Field(
        description="What the rules of the template say about the plan; empty: nothing, or it is "
        "not that far yet"
    )
    error: RunError | None
    created_by: str
    created_at: datetime
    planned_at: datetime | None
    approved_at: datetime | None = Field(description="From then on a worker applies the plan")
    approved_by: str | None
    not_before: datetime | None = Field(
        description="An approved plan waits for a window of its template, which opens then"
    )
    started_at: datetime | None
    finished_at: datetime | None


class Comment(Answer):
    id: str
    decision: str | None = Field(description="What was decided with it; null: nothing")
    text: str
    created_by: str
    created_at: datetime


class Comments(Answer):
    items: list[Comment]


class WaitingFor(Answer):
    kind: Literal[
        "run", "lock", "hold", "approval", "window", "frozen", "rescued", "limit", "worker",
        "queue", "tool",
    ]  # fmt: skip
    message: str = Field(description="For people: what it waits for")
    facts: dict[str, Any] = Field(description="For programs: ids, names and moments in it")


class Stopping(Answer):
    signal: str = Field(description="The last one that the tool got")
    at: datetime
    next: str | None = Field(None, description="The signal that follows; null: none does")
    next_at: datetime | None = Field(None, description="Until then the tool may save its state")


class ActiveResource(Answer):
    address: str
    action: Literal["create", "update", "delete", "read", "open", "close"]
    began_at: datetime


class Progress(Answer):
    step: Literal["plan", "apply"]
    total: int | None = Field(
        description="The changes in the plan that is applied: a replacement is two, to destroy and "
        "to create. null: it is not known"
    )
    done: int = Field(description="Changes that are complete")
    unfinished: int = Field(
        description="Changes that have begun, and failed or were stopped; the log says why at its "
        "end"
    )
    refreshed: int = Field(description="Resources that were looked at")
    active: list[ActiveResource] = Field(
        description="What the tool is at work with, the longest first; at most 20 of them"
    )
    active_count: int


class RunDetail(Run):
    progress: Progress | None = Field(
        description="How far the plan or the apply is, as the tool tells it; null: not begun"
    )
    stopping: Stopping | None = Field(
        description="How it is being stopped; null: it is not, or it has ended"
    )
    queue: str = Field(description="Which workers take it: those that listen to this queue")
    position: int | None = Field(
        description="Its place among the queued runs of its workspace; null: it is not queued"
    )
    waiting_for: list[WaitingFor] = Field(
        description="Everything that keeps it from being at work, what a person can do about first"
    )
    repository: str | None = Field(description="What was checked out")
    path: str | None
    blocked_by: str | None = Field(description="The id of the run that this one waits for")
    waits_for_rescued: str | None = Field(
        description="The id of the rescued write that must be promoted or dismissed before"
    )
    approve_before: datetime | None = Field(
        description="A plan that nobody has approved by then is discarded; null: it waits on"
    )
    workspace_frozen: bool = Field(description="A queued run waits until this ends")
    cancel_requested_at: datetime | None
    acknowledged_at: datetime | None
    attempts: int
    worker: str | None
    tool: str | None
    sandbox: str | None = Field(description="What confined the tool")
    detection: dict[str, Any] | None = Field(
        description="Which backend the sources configure, where, and what was injected"
    )
    warnings: list[str]
    steps: list[Step]
    comments: list[Comment]
    state_versions: list[int] = Field(description="The numbers of the versions that it wrote")
    log_size: int = Field(description="Bytes")


class Runs(Page[Run]):
    pass


def summary(run: RunRow) -> Run:
    """A run as lists have it; in the transaction that has read it."""
    return Run.model_validate(_facts(Run, run))


def detail(tx: Transaction, run: RunRow) -> RunDetail:
    """A run as GET shows it."""
    found = overviews.of_run(tx, run)
    beside = (
        *("blocked_by", "waits_for_rescued", "approve_before", "workspace_frozen"),
        *("waiting_for", "position"),
        *("steps", "comments", "state_versions"),
    )
    facts = _facts(RunDetail, run) | {name: getattr(found, name) for name in beside}
    facts["stopping"] = run.stopping if run.status in ACTIVE else None
    return RunDetail.model_validate(facts)


def _facts(model: type[Run], run: RunRow) -> dict[str, Any]:
    facts = {name: getattr(run, name) for name in model.model_fields if hasattr(run, name)}
    facts["error"] = _error(run)
    return facts


def _error(run: RunRow) -> dict[str, Any] | None:
    if run.error_code is None:
        return None
    return {
        "code": run.error_code,
        "message": run.error_message or "",
        "next": failures.next_step(run),
        "facts": run.error_facts or {},
    }
