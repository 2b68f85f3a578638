"""Overviews of runs, states and workspaces, which the API and the pages show."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from backend.errors import Unreadable
from backend.models import (
    PLANNED,
    Comment,
    Lock,
    Project,
    Run,
    State,
    StateVersion,
    Step,
    Workspace,
)
from backend.runs import comments, drifts, rules, steps, waiting
from backend.runs.waiting import Reason
from backend.states import locks, rescued, states, versions
from backend.transactions import Transaction

_BEFORE = ("queued", "preparing", "planning", PLANNED)  # nothing is written yet


@dataclass(frozen=True)
class StateOverview:
    """`rescued` is the number of refused writes that wait for a decision."""

    state: State
    current: StateVersion | None
    rescued: int


@dataclass(frozen=True)
class WorkspaceOverview:
    """`last_run` and `drift` are None if there is none, or if the principal may not see runs."""

    workspace: Workspace
    is_default: bool
    state: StateOverview
    lock: Lock
    last_run: Run | None
    drift: drifts.Summary | None


@dataclass(frozen=True)
class RunOverview:
    """`blocked_by` is the run that this one waits for; `state_versions` are those it wrote.

    `waits_for_rescued` is the rescued write that must be decided before this one begins.
    """

    run: Run
    blocked_by: str | None
    waits_for_rescued: str | None
    approve_before: datetime | None
    workspace_frozen: bool
    waiting_for: Sequence[Reason]
    position: int | None
    steps: Sequence[Step]
    comments: Sequence[Comment]
    state_versions: Sequence[int]


def of_workspace(tx: Transaction, project: Project, workspace: Workspace) -> WorkspaceOverview:
    """The overview of a workspace, for those who may see runs or have just changed it."""
    tx.require_any(("runs:read", "templates:manage", "state:unlock"), project.id)
    state = states.of_workspace(tx.db, workspace)
    sees_runs = tx.principal.may("runs:read", project.id)
    return WorkspaceOverview(
        workspace=workspace,
        is_default=project.default_workspace_id == workspace.id,
        state=_of_state(tx.db, state),
        lock=locks.of_state(tx.db, state),
        last_run=_last_run(tx.db, workspace) if sees_runs else None,
        drift=drifts.find(tx.db, workspace) if sees_runs else None,
    )


def of_state(tx: Transaction, state: State) -> StateOverview:
    """The overview of a state, for those who may see it or have just deleted or restored it."""
    tx.require_any(("state:read", "state:delete"), state.project_id)
    return _of_state(tx.db, state)


def of_run(tx: Transaction, run: Run) -> RunOverview:
    """The overview of a run, for those who may see it or have just changed it."""
    tx.require_any(("runs:read", "runs:create", "runs:cancel", "runs:approve"), run.project_id)
    found = waiting.find(tx, run)
    return RunOverview(
        run=run,
        blocked_by=next((one.facts["run"] for one in found.reasons if one.kind == "run"), None),
        waits_for_rescued=found.rescued,
        approve_before=_approve_before(run),
        workspace_frozen=run.workspace.frozen_at is not None,
        waiting_for=found.reasons,
        position=found.position,
        steps=steps.of_run(tx.db, run) if run.epoch else (),  # claimed at least once
        comments=comments.of_run(tx.db, run),
        state_versions=() if run.status in _BEFORE else versions.written_by(tx.db, run),
    )


def _approve_before(run: Run) -> datetime | None:
    if run.status != PLANNED or run.approved_at is not None or run.planned_at is None:
        return None
    with suppress(Unreadable):  # whoever approves it is told
        return rules.expires(rules.of(run.template), run.planned_at)
    return None


def _of_state(db: Session, state: State) -> StateOverview:
    return StateOverview(state, states.newest(db, state), rescued.undecided(db, state))


def _last_run(db: Session, workspace: Workspace) -> Run | None:
    return db.scalars(
        select(Run)
        .where(Run.workspace_id == workspace.id)
        .options(joinedload(Run.workspace), joinedload(Run.template))
        .order_by(Run.id.desc())
        .limit(1)
    ).one_or_none()
