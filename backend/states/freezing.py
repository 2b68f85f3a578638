"""Freezing a workspace: nobody takes its lock, writes its state or queues a run meanwhile."""

from __future__ import annotations

from sqlalchemy import select

from backend import audit
from backend.db import now
from backend.models import Workspace
from backend.states import locks, refusals, states
from backend.transactions import Transaction


def freeze(tx: Transaction, workspace: Workspace, reason: str) -> None:
    """Let nobody take its lock, write its state or queue a run, until it is unfrozen.

    Who holds the lock already may still write and unlock: what is applied is not lost. Raises
    Conflict, with who and why, when it is frozen already.
    """
    tx.require("state:unlock", workspace.project_id)
    _wait_for_lockers(tx, workspace)
    if refusal := refusals.frozen(workspace):
        raise refusal.as_conflict()
    workspace.frozen_at = tx.db.scalar(select(now()))
    workspace.frozen_by, workspace.frozen_reason = tx.principal.name, reason
    audit.record(
        tx, "workspace.freeze", workspace.id, project_id=workspace.project_id, reason=reason
    )


def unfreeze(tx: Transaction, workspace: Workspace) -> None:
    """Harmless when it is not frozen. Runs that waited go on."""
    tx.require("state:unlock", workspace.project_id)
    _wait_for_lockers(tx, workspace)
    if workspace.frozen_at is None:
        return
    workspace.frozen_at = workspace.frozen_by = workspace.frozen_reason = None
    audit.record(tx, "workspace.unfreeze", workspace.id, project_id=workspace.project_id)


def _wait_for_lockers(tx: Transaction, workspace: Workspace) -> None:
    """Whoever takes the lock has its row, and then looks whether the workspace is frozen."""
    tx.db.refresh(workspace, with_for_update={"of": Workspace})
    locks.for_update(tx, states.of_workspace(tx.db, workspace))
