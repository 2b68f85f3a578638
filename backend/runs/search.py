"""Find projects, workspaces, templates and runs by a part of what people call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased, joinedload

from backend.catalogue.projects import seen
from backend.models import Project, Run, Template, Workspace
from backend.transactions import Transaction

MOST = 20  # of each kind
MOST_RUNS = 10_000  # whose texts are looked through: the newest
LONGEST = 200  # letters of what is looked for

_NEWER = aliased(Run)


@dataclass(frozen=True)
class Found:
    """At most 20 of each kind. Templates come with their project; runs are the newest that fit."""

    projects: Sequence[Project]
    workspaces: Sequence[Workspace]
    templates: Sequence[tuple[Template, str]]
    runs: Sequence[Run]

    @property
    def is_empty(self) -> bool:
        return not (self.projects or self.workspaces or self.templates or self.runs)


def find(tx: Transaction, text: str, project: Project | None = None) -> Found:
    """What has this text in its name, in this project or in all that the principal sees.

    A template is found by its repository too, and a run by the beginning of its id, or one of the
    newest 10,000 by its message, ref or commit.
    """
    if project is None:
        tx.principal.require_held("runs:read")  # every role has it
    else:
        tx.require("runs:read", project.id)
    text = text.strip()[:LONGEST]
    if not text:
        return Found((), (), (), ())

    def wanted(query: Any, owner: Any, *columns: Any) -> Any:
        return query.where(seen(tx.principal, owner, project), _has(text, columns)).limit(MOST)

    db = tx.db
    workspaces = wanted(select(Workspace), Workspace.project_id, Workspace.name)
    templates = wanted(
        select(Template, Project.name).join(Project, Project.id == Template.project_id),
        Template.project_id, Template.name, Template.repository,
    )  # fmt: skip
    runs = select(Run).where(seen(tx.principal, Run.project_id, project), _is_run(text)).limit(MOST)
    names = joinedload(Run.workspace).joinedload(Workspace.project), joinedload(Run.template)
    return Found(
        db.scalars(wanted(select(Project), Project.id, Project.name).order_by(Project.name)).all(),
        db.scalars(
            workspaces.options(joinedload(Workspace.project)).order_by(Workspace.name)
        ).all(),
        [(template, name) for template, name in db.execute(templates.order_by(Template.name))],
        db.scalars(runs.options(*names).order_by(Run.id.desc())).all(),
    )


def _is_run(text: str) -> ColumnElement[bool]:
    """The condition for a run with this text."""
    if text.startswith("run_"):
        return Run.id.startswith(text, autoescape=True)
    oldest = select(_NEWER.id).order_by(_NEWER.id.desc()).limit(1).offset(MOST_RUNS - 1)
    is_new = Run.id >= func.coalesce(oldest.scalar_subquery(), "")
    return and_(is_new, _has(text, (Run.message, Run.ref, Run.commit)))


def _has(text: str, columns: Sequence[Any]) -> ColumnElement[bool]:
    return or_(*(column.icontains(text, autoescape=True) for column in columns))
