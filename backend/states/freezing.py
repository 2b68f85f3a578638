"""Freezing a workspace: while it is frozen, nobody locks or writes its state, or queues a run."""

from __future__ import annotations

from sqlalchemy import select

from backend import audit
from backend.db import now
from backend.models import Workspace
from backend.states import locks, refusals, states
from backend.transactions import Transaction


def freeze(tx: Transaction, workspace: Workspace, reason: str) -> None:
    """Refuse new locks, writes and runs until the workspace is unfrozen.

    The holder of the lock may still write and unlock, so that nothing applied is lost. If it is
    frozen already, raises Conflict with the person and the reason.
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
    """Unfreeze it, and let waiting runs go on. Harmless when it is not frozen."""
    tx.require("state:unlock", workspace.project_id)
    _wait_for_lockers(tx, workspace)
    if workspace.frozen_at is None:
        return
    workspace.frozen_at = workspace.frozen_by = workspace.frozen_reason = None
    audit.record(tx, "workspace.unfreeze", workspace.id, project_id=workspace.project_id)


def _wait_for_lockers(tx: Transaction, workspace: Workspace) -> None:
    """Wait for clients that are taking the lock: they hold its row when they check for frozen."""
    tx.db.refresh(workspace, with_for_update={"of": Workspace})
    locks.for_update(tx, states.of_workspace(tx.db, workspace))
