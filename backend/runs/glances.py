"""Workspaces at a glance: state, lock, drift and last run, in few statements for any number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, Select, and_, func, not_, or_, select
from sqlalchemy.orm import defer, joinedload, lazyload, load_only

from backend import names
from backend.catalogue import projects
from backend.models import (
    Drift,
    Lock,
    Project,
    RescuedWrite,
    Run,
    State,
    StateVersion,
    Template,
    Workspace,
)
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.states import workspaces
from backend.states.lock_statements import EXPIRED
from backend.transactions import Transaction

Sign = Literal["locked", "drifted", "frozen", "failed", "deleted"]
FAILED = ("errored", "lost")
NO_TEMPLATE = "-"  # which is no name


@dataclass(frozen=True)
class Glance:
    """A workspace with its state, lock and drift. `rescued` counts refused writes that wait.

    `version` is the newest one, None if the state was never written. `last_run` is known in lists.
    """

    project: Project
    workspace: Workspace
    state: State
    lock: Lock
    version: StateVersion | None
    drift: Drift | None
    rescued: int
    last_run: Run | None = None

    @property
    def is_locked(self) -> bool:
        """Whether somebody has the lock. A hold whose time is over does not count."""
        ends = self.lock.expires_at
        return self.lock.held and (ends is None or ends > datetime.now(UTC))

    @property
    def is_drifted(self) -> bool:
        """Whether something was changed outside, when that was last looked for."""
        return self.drift is not None and self.drift.resources + self.drift.outputs > 0


@dataclass(frozen=True)
class Wanted:
    """Which workspaces a list has: a part of their names, their template, and all these signs.

    The template is a name or an id; `-` are workspaces that have none.
    """

    text: str = ""
    template: str = ""
    signs: Sequence[Sign] = ()


def get(tx: Transaction, project: str, reference: str) -> Glance:
    """One workspace of a project, both by name or id. Raises NotFound, Forbidden."""
    where = projects.named(tx, project)
    tx.require("runs:read", where.id)
    asked = _facts(where).where(names.called(Workspace, reference))
    whole = joinedload(Workspace.template).lazyload(Template.key), joinedload(Workspace.module_key)
    found = tx.db.execute(asked.options(*whole)).one_or_none()
    if found is None:
        raise workspaces.missing(where, reference)
    return _glance(where, found)


def find_all(
    tx: Transaction,
    project: Project,
    wanted: Wanted,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Glance]:
    """The workspaces of a project by name, each with its last run. The cursor is a name."""
    tx.require("runs:read", project.id)
    named = joinedload(Workspace.template).options(load_only(Template.name), lazyload(Template.key))
    query = _facts(project).options(named).where(*_only(wanted))
    query = query.add_columns(_last("id").label("last_run_id"))
    if after is not None:
        query = query.where(Workspace.name > after)
    rows = tx.db.execute(query.order_by(Workspace.name).limit(limit + 1)).all()
    page = cut(rows, limit, lambda row: str(row[0].name))
    asked = [row.last_run_id for row in page.items if row.last_run_id is not None]
    runs = {run.id: run for run in tx.db.scalars(select(Run).where(Run.id.in_(asked)))}
    items = [
        replace(_glance(project, row), last_run=runs.get(row.last_run_id)) for row in page.items
    ]
    return Page(items, page.next_cursor)


def _facts(project: Project) -> Select[*tuple[Any, ...]]:
    rescued = (
        select(func.count())
        .where(RescuedWrite.state_id == State.id, RescuedWrite.decision.is_(None))
        .scalar_subquery()
    )
    newest = and_(StateVersion.state_id == State.id, StateVersion.number == State.current)
    return (
        select(Workspace, State, Lock, StateVersion, Drift, rescued.label("rescued"))
        .join(State, State.workspace_id == Workspace.id)
        .join(Lock, Lock.state_id == State.id)
        .outerjoin(StateVersion, newest)
        .outerjoin(Drift, Drift.workspace_id == Workspace.id)
        .where(Workspace.project_id == project.id)
        .options(defer(Drift.sealed))
    )


def _glance(project: Project, row: Row[*tuple[Any, ...]]) -> Glance:
    workspace, state, lock, version, drift = row[:5]
    return Glance(project, workspace, state, lock, version, drift, int(row.rescued))


def _last(column: str) -> Any:
    """A column of the last run of a workspace, by the index of runs of a workspace."""
    return (
        select(getattr(Run, column))
        .where(Run.workspace_id == Workspace.id)
        .order_by(Run.created_at.desc(), Run.id.desc())
        .limit(1)
        .correlate(Workspace)
        .scalar_subquery()
    )


def _only(wanted: Wanted) -> list[ColumnElement[bool]]:
    found = [_SIGNS[sign]() for sign in wanted.signs]
    if wanted.text:
        found.append(Workspace.name.icontains(wanted.text, autoescape=True))
    if wanted.template == NO_TEMPLATE:
        found.append(Workspace.template_id.is_(None))
    elif wanted.template:
        of_template = select(Template.id).where(
            Template.project_id == Workspace.project_id, names.called(Template, wanted.template)
        )
        found.append(Workspace.template_id.in_(of_template))
    return found


_SIGNS: dict[Sign, Callable[[], ColumnElement[bool]]] = {
    "locked": lambda: and_(Lock.held, or_(Lock.expires_at.is_(None), not_(EXPIRED))),
    "drifted": lambda: Drift.resources + Drift.outputs > 0,
    "frozen": lambda: Workspace.frozen_at.is_not(None),
    "failed": lambda: _last("status").in_(FAILED),
    "deleted": lambda: or_(State.deleted_at.is_not(None), State.archived_at.is_not(None)),
}
