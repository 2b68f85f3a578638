"""Where templates run: their workspaces, and the last run of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from backend.models import Project, Run, Template, Workspace
from backend.transactions import Transaction

SHOWN = 100  # workspaces of one template

_newest = (  # of a workspace, by the index that begins with it
    select(Run.id)
    .where(Run.workspace_id == Workspace.id)
    .order_by(Run.created_at.desc(), Run.id.desc())
    .limit(1)
    .correlate(Workspace)
    .scalar_subquery()
)


@dataclass(frozen=True)
class Use:
    """How many workspaces run a template, and the last run among them."""

    workspaces: int
    last_run: Run | None


@dataclass(frozen=True)
class Place:
    """A workspace that runs a template, and its last run."""

    workspace: Workspace
    last_run: Run | None


NOWHERE = Use(0, None)


def find_all(tx: Transaction, project: Project, found: Sequence[Template]) -> Mapping[str, Use]:
    """The use of these templates of the project, by their ids; those without one are missing."""
    tx.require("runs:read", project.id)
    ids = [template.id for template in found if template.project_id == project.id]
    counted = select(Workspace.template_id, func.count(), func.max(_newest))
    rows = tx.db.execute(
        counted.where(Workspace.template_id.in_(ids)).group_by(Workspace.template_id)
    ).all()
    wanted = select(Run).where(Run.id.in_([row[2] for row in rows if row[2]]))
    runs = {run.id: run for run in tx.db.scalars(wanted.options(joinedload(Run.workspace)))}
    return {row[0]: Use(row[1], runs.get(row[2])) for row in rows}


def find_places(tx: Transaction, template: Template) -> Sequence[Place]:
    """The workspaces that run a template: SHOWN of them, those that ran last first."""
    tx.require("runs:read", template.project_id)
    rows = tx.db.execute(
        select(Workspace, Run)
        .outerjoin(Run, Run.id == _newest)
        .where(Workspace.template_id == template.id)
        .order_by(func.coalesce(Run.id, "").desc(), Workspace.name)
        .limit(SHOWN)
    )
    return [Place(workspace, run) for workspace, run in rows]
