"""What the earlier runs of a workspace did."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session, joinedload

from backend.models import Run, Step, Workspace
from backend.transactions import Transaction

APPLIES = ("apply", "destroy")  # a refresh only notes what there is


def newest(tx: Transaction, workspace: Workspace, limit: int) -> Sequence[Run]:
    """The newest runs of a workspace, the last one first."""
    tx.require("runs:read", workspace.project_id)
    return tx.db.scalars(
        select(Run)
        .where(Run.workspace_id == workspace.id)
        .options(joinedload(Run.template))
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(limit)
    ).all()


def last_detected(tx: Transaction, workspace: Workspace) -> Run | None:
    """The newest run of the workspace that found out where its sources keep their state."""
    tx.require("runs:read", workspace.project_id)
    return tx.db.scalars(
        select(Run)
        .where(Run.workspace_id == workspace.id, Run.detection["verdict"].as_string().is_not(None))
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(1)
    ).one_or_none()


def last_apply(db: Session, workspace: Workspace) -> Run | None:
    """The last run of the workspace that began to apply, however it ended."""
    began = exists().where(Step.run_id == Run.id, Step.name == "apply")
    return db.scalars(
        select(Run)
        .where(
            Run.workspace_id == workspace.id,
            Run.operation.in_(APPLIES),
            Run.commit.is_not(None),
            or_(Run.status.in_(("applied", "lost")), began),
        )
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(1)
    ).one_or_none()
