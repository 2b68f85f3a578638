"""The tables of runs, their steps and their logs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    and_,
    or_,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.db import now
from backend.models.base import Base, new_id
from backend.models.catalogue import Template, Workspace
from backend.models.proven import Proven

ACTIVE = ("preparing", "planning", "applying")  # at work: a lease guards them
PLANNED = "planned"  # waits for an approval, or for a worker after it; nothing is at work
TRANSFERS = ("import-state", "export-state")
DEFAULT_QUEUE = "default"  # of workers and runs without a label
HARMLESS = ("plan", "drift")  # they change nothing, wait for nobody, and hold nobody up
ENDED = ("applied", "planned_and_finished", "discarded", "stale", "errored", "canceled", "lost")


class Run(Base):
    """One requested execution.

    `epoch` is the number of the claim: it rises whenever a worker claims or loses the run, so that
    messages of an earlier worker are recognised and refused.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "one_active_run_per_workspace",
            "workspace_id",
            unique=True,
            sqlite_where=text("blocking"),
            postgresql_where=text("blocking"),
        ),
        Index(
            "one_active_run_per_own_backend",
            "own_backend",
            unique=True,
            sqlite_where=text("blocking"),
            postgresql_where=text("blocking"),
        ),
        Index("runs_by_status", "status", "created_at"),
        Index("runs_by_workspace", "workspace_id", "created_at"),
        Index("runs_by_day", "project_id", "created_at", "status"),
        # ids sort by time: lists have the newest first
        Index("runs_of_project", "project_id", "id"),
        Index("runs_of_workspace", "workspace_id", "id"),
        Index("runs_of_template", "template_id", "id"),
        Index("runs_in_status", "project_id", "status", "id"),
        Index("runs_of_person", "project_id", "created_by", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("run"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id"))
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    operation: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(24), default="queued")
    blocking: Mapped[bool] = mapped_column(default=False)  # lost: blocks its workspace
    ref: Mapped[str | None]
    ref_rule: Mapped[str | None]  # which rule of the template allows it; None: not known yet
    message: Mapped[str] = mapped_column(default="")
    targets: Mapped[list[str]] = mapped_column(JSON, default=list)  # empty: everything
    replace: Mapped[list[str]] = mapped_column(JSON, default=list)
    commit: Mapped[str | None] = mapped_column(String(64))
    retry_of: Mapped[str | None] = mapped_column(String(40))  # the run whose inputs it has
    repository: Mapped[str | None]  # what was checked out; the template may have changed since
    path: Mapped[str | None]
    goes_back: Mapped[dict[str, Any] | None]  # {"reason", "run", "commit", "message"}
    allow_older: Mapped[bool] = mapped_column(default=False)  # apply although it goes back
    epoch: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    force_cancel: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[dict[str, Any] | None]  # of a plan or an apply (runner/tools/progress.py)
    stopping: Mapped[dict[str, Any] | None]  # {"signal", "at", "next", "next_at"}
    queue: Mapped[str] = mapped_column(String(64), default=DEFAULT_QUEUE)  # as the template says
    priority: Mapped[int] = mapped_column(default=0)  # of two whose turn it is, the higher is first
    auto_approve: Mapped[bool] = mapped_column(default=False)  # as who queued it wanted
    may_approve: Mapped[bool] = mapped_column(default=False)  # whoever queued it had runs:approve
    planned_at: Mapped[datetime | None]
    approved_at: Mapped[datetime | None]  # from then on it is to be applied
    approved_by: Mapped[str | None]
    not_before: Mapped[datetime | None]  # when an approved run may begin to apply
    start_empty: Mapped[bool] = mapped_column(default=False)  # though a state was elsewhere
    cli_workspace: Mapped[str | None] = mapped_column(String(255))  # which an import takes
    own_backend: Mapped[str | None]  # the identity of a backend outside that it works with
    detection: Mapped[dict[str, Any] | None]
    changes: Mapped[dict[str, Any] | None]  # what the plan counts: {"add": n, …}
    plan_sha256: Mapped[str | None] = mapped_column(String(64))
    findings: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)  # rules.Finding
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    error_facts: Mapped[dict[str, Any] | None]  # what the next step names: variables, a host …
    sandbox: Mapped[str | None]
    tool: Mapped[str | None]
    log_size: Mapped[int] = mapped_column(BigInteger, default=0)
    created_by: Mapped[str]
    created_by_id: Mapped[str | None] = mapped_column(String(40))  # who that is: rules.identity
    created_at: Mapped[datetime] = mapped_column(default=now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]

    workspace: Mapped[Workspace] = relationship()
    template: Mapped[Template] = relationship()


class Step(Base):
    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("run_id", "epoch", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("step"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    epoch: Mapped[int]
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="running")  # done, failed
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    started_at: Mapped[datetime] = mapped_column(default=now())
    finished_at: Mapped[datetime | None]


class Plan(Proven, Base):
    """What the plan of a run was made from, and holds for. It is applied only while that holds.

    Hashes of secrets are keyed. Without `state_version` the state is in a backend of the sources.
    """

    __tablename__ = "plans"
    KEY = ("run_id",)
    PROVES = (
        "run_id", "workspace_id", "epoch", "commit", "tool", "tool_version", "address",
        "state_version", "template", "variables", "credentials", "lock_sha256", "bundle_sha256",
        "pieces", "approved_by",
    )  # fmt: skip

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    epoch: Mapped[int]  # of the claim that planned
    commit: Mapped[str] = mapped_column(String(64))
    tool: Mapped[str] = mapped_column(String(16))
    tool_version: Mapped[str] = mapped_column(String(32))
    address: Mapped[str]  # of the backend, which the plan file contains
    state_version: Mapped[int | None]  # the number of the one that was read; 0: there was none
    template: Mapped[str] = mapped_column(String(64))
    variables: Mapped[str] = mapped_column(String(64))
    credentials: Mapped[str] = mapped_column(String(64))
    lock_sha256: Mapped[str | None] = mapped_column(String(64))  # of the dependency lock file
    bundle_sha256: Mapped[str] = mapped_column(String(64))
    pieces: Mapped[int]
    approved_by: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class PlanPiece(Base):
    """A sealed piece of what planning left: the plan file, and the files that it wrote."""

    __tablename__ = "plan_pieces"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed: Mapped[bytes]


class Comment(Base):
    """What somebody said about a run, alone or with a decision."""

    __tablename__ = "comments"
    __table_args__ = (Index("comments_by_run", "run_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("cmt"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    decision: Mapped[str | None] = mapped_column(String(16))  # approve, discard, cancel, …
    text: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())


class LogChunk(Base):
    """A sealed piece of a run's log. `start` is its offset in the clear text, in bytes."""

    __tablename__ = "log_chunks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    length: Mapped[int]
    sealed: Mapped[bytes]
    times: Mapped[list[list[int]] | None] = mapped_column(JSON)  # [offset in it, milliseconds]


class Worker(Base):
    """A worker, for as long as it says that it lives."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    slots: Mapped[int]
    sandbox: Mapped[str | None]  # what confines its runs, and why nothing better does
    queues: Mapped[list[str]] = mapped_column(JSON, default=lambda: [DEFAULT_QUEUE])
    # [{"name", "version", "origin"}]; None: it is of a release that does not say it
    tools: Mapped[list[dict[str, str]] | None] = mapped_column(JSON)
    installs_tools: Mapped[bool] = mapped_column(default=False)  # those that it lacks
    started_at: Mapped[datetime] = mapped_column(default=now())
    seen_at: Mapped[datetime]


def of_claim(run_id: str, epoch: int | None) -> ColumnElement[bool]:
    """The condition for this run while it is at work in this epoch."""
    return and_(Run.id == run_id, Run.epoch == epoch, Run.status.in_(ACTIVE))


def came_before(one: Any, other: Any) -> ColumnElement[bool]:
    """The condition that one run was queued before another one."""
    same = and_(one.created_at == other.created_at, one.id < other.id)
    return or_(one.created_at < other.created_at, same)
