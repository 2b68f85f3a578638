"""Deleting a workspace: what is deleted with it, and what the caller must agree to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy import delete as delete_from
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session

from backend import audit
from backend.catalogue import projects
from backend.errors import Conflict
from backend.models import (
    Alias,
    ChosenSet,
    Comment,
    Drift,
    GitCredential,
    Lock,
    LogChunk,
    Plan,
    PlanDocument,
    PlanPiece,
    Project,
    RescuedWrite,
    Run,
    State,
    StateVersion,
    Step,
    Template,
    Token,
    Variable,
    Workspace,
)
from backend.sealing import proven
from backend.states import locks, refusals, states
from backend.transactions import Transaction


@dataclass(frozen=True)
class Contents:
    """How much is deleted with a workspace. `rescued` counts undecided rescued writes."""

    versions: int
    rescued: int
    runs: int
    aliases: int
    variables: int


@dataclass(frozen=True)
class Agreed:
    """What the caller agrees to delete: the records of the runs, and a state that is in use."""

    runs: bool = False
    state: bool = False


def contents(tx: Transaction, workspace: Workspace) -> Contents:
    """What is deleted with a workspace."""
    tx.require_any(("runs:read", "templates:manage"), workspace.project_id)
    return _contents(tx.db, workspace, states.of_workspace(tx.db, workspace))


def delete(tx: Transaction, workspace: Workspace, agreed: Agreed) -> None:
    """Delete a workspace, its variables, aliases and deleted state. The audit log stays.

    A state that is not deleted yet needs state:delete. Raises Locked, and Conflict while the
    workspace is frozen, a run has not ended, a lost run is not acknowledged, or the caller has not
    agreed to everything.
    """
    tx.require("templates:manage", workspace.project_id)
    if agreed.state:
        tx.require("state:delete", workspace.project_id)
    db = tx.db
    db.refresh(workspace, with_for_update={"of": Workspace})
    if refusal := refusals.frozen(workspace):
        raise refusal.as_conflict()
    state = states.of_workspace(db, workspace)
    lock = locks.for_update(tx, state)
    if lock.held:  # a first apply may be running, which has still to write its state
        raise locks.locked(lock)
    found = _contents(db, workspace, state)
    if not agreed.state and state.deleted_at is None:
        _refuse_a_state(workspace, state, found)
    projects.refuse_while_running(db, Run.workspace_id == workspace.id)
    _refuse_lost_runs(db, workspace)
    if found.runs and not agreed.runs:
        raise Conflict(
            f"{workspace.name!r} has the records and logs of {found.runs} runs, which would be "
            "deleted too. To agree, send with_runs=true.",
            code="workspace-has-runs",
            runs=found.runs,
        )
    _delete_rows(db, workspace, state)
    audit.record(
        tx, "workspace.delete", workspace.id, project_id=workspace.project_id,
        name=workspace.name, contents=asdict(found),
    )  # fmt: skip


def _contents(db: Session, workspace: Workspace, state: State) -> Contents:
    def count(model: Any, *which: ColumnElement[bool]) -> Any:
        return select(func.count()).select_from(model).where(*which).scalar_subquery()

    kept = StateVersion.state_id == state.id, StateVersion.removed_at.is_(None)
    undecided = RescuedWrite.state_id == state.id, RescuedWrite.decision.is_(None)
    counts = db.execute(
        select(
            count(StateVersion, *kept),
            count(RescuedWrite, *undecided),
            count(Run, Run.workspace_id == workspace.id),
            count(Alias, Alias.state_id == state.id),
            count(Variable, Variable.workspace_id == workspace.id),
        )
    ).one()
    return Contents(*counts)


def _refuse_a_state(workspace: Workspace, state: State, found: Contents) -> None:
    if state.current:
        raise Conflict(
            f"The state of {workspace.name!r} has {found.versions} versions. Destroy its "
            "resources, then send with_state=true.",
            code="state-exists",
            versions=found.versions,
        )
    if found.rescued:
        raise Conflict(
            f"{found.rescued} rescued writes of {workspace.name!r} wait for a decision, and their "
            "content is stored nowhere else: promote or dismiss them, or send with_state=true.",
            code="rescued-undecided",
            rescued=found.rescued,
        )


def _refuse_lost_runs(db: Session, workspace: Workspace) -> None:
    lost = db.scalar(select(Run.id).where(Run.workspace_id == workspace.id, Run.blocking).limit(1))
    if lost is not None:
        raise Conflict(
            f"The run {lost} was lost, and nobody has acknowledged it: look at it first.",
            code="run-lost",
            run=lost,
        )


def _delete_rows(db: Session, workspace: Workspace, state: State) -> None:
    runs = select(Run.id).where(Run.workspace_id == workspace.id)
    proven.delete_all(db, Variable, Variable.run_id.in_(runs))
    for model in (LogChunk, PlanDocument, Step, PlanPiece, Comment):
        db.execute(delete_from(model).where(model.run_id.in_(runs)))
    db.execute(delete_from(Token).where(or_(Token.run_id.in_(runs), Token.state_id == state.id)))
    for kept in (Alias, RescuedWrite):
        proven.delete_all(db, kept, kept.state_id == state.id)
    proven.delete_all(db, Plan, Plan.workspace_id == workspace.id)
    for sealed in (StateVersion, Lock):
        db.execute(delete_from(sealed).where(sealed.state_id == state.id))
    proven.delete_all(db, State, State.id == state.id)
    for owned in (Drift, Run, GitCredential, ChosenSet):
        db.execute(delete_from(owned).where(owned.workspace_id == workspace.id))
    proven.delete_all(db, Variable, Variable.workspace_id == workspace.id)
    for model_with_default in (Project, Template):
        db.execute(
            update_rows(model_with_default)
            .where(model_with_default.default_workspace_id == workspace.id)
            .values(default_workspace_id=None)
        )
    db.execute(delete_from(Workspace).where(Workspace.id == workspace.id))
