"""Sets of variables of a project, which its workspaces choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from backend import audit, names
from backend.catalogue import projects
from backend.errors import Conflict, Invalid, NotFound
from backend.models import ChosenSet, Project, Variable, VariableSet, Workspace
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.sealing import proven
from backend.transactions import Transaction

MOST_CHOSEN = 50
MOST_USERS = 200  # that are listed


class Fields(TypedDict, total=False):
    name: str
    description: str


@dataclass(frozen=True)
class Counts:
    """How many variables a set has, and how many workspaces have chosen it."""

    variables: int = 0
    workspaces: int = 0


@dataclass(frozen=True)
class Chosen:
    """A workspace that has chosen a set, as its `position`-th of so many; a later one wins."""

    workspace: str
    position: int
    of: int


def create(tx: Transaction, project: Project, name: str, description: str = "") -> VariableSet:
    """Create an empty set. Raises Invalid, and Conflict if the name is taken."""
    tx.require("templates:manage", project.id)
    made = VariableSet(project_id=project.id, name=names.check(name), description=description)
    names.store(tx.db, made, "variable set")
    audit.record(tx, "variable_set.create", made.id, project_id=project.id, name=made.name)
    return made


def get(tx: Transaction, project: Project, reference: str) -> VariableSet:
    """One set of the project. Raises NotFound."""
    tx.require("runs:read", project.id)
    return in_project(tx.db, project, reference)


def named(tx: Transaction, project: str, reference: str) -> VariableSet:
    """A set. Raises NotFound, also for who does not belong to the project.

    It requires no scope: the operation that works with the set does.
    """
    return in_project(tx.db, projects.named(tx, project), reference)


def in_project(db: Session, project: Project, reference: str) -> VariableSet:
    """The set with this name or id. Raises NotFound."""
    found = db.scalars(
        select(VariableSet).where(
            VariableSet.project_id == project.id, names.called(VariableSet, reference)
        )
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no variable set {reference!r} in the project {project.name!r}.")
    return found


def find_all(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[VariableSet]:
    """The sets of a project."""
    tx.require("runs:read", project.id)
    query = select(VariableSet).where(VariableSet.project_id == project.id)
    return page(tx.db, query, VariableSet.id, after, limit)


def find_counts(
    tx: Transaction, project: Project, sets: Sequence[VariableSet]
) -> Mapping[str, Counts]:
    """How much is in these sets of the project, and how many workspaces use them, by id."""
    tx.require("runs:read", project.id)
    ids = [one.id for one in sets]

    def counted(column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None]) -> Any:
        query = select(column, func.count()).where(column.in_(ids)).group_by(column)
        return dict(tx.db.execute(query).all())

    inside, used = counted(Variable.set_id), counted(ChosenSet.set_id)
    return {one: Counts(inside.get(one, 0), used.get(one, 0)) for one in ids}


def find_users(tx: Transaction, chosen: VariableSet) -> Sequence[Chosen]:
    """The workspaces that have chosen the set, by name; MOST_USERS at most."""
    tx.require("runs:read", chosen.project_id)
    each = (
        select(
            ChosenSet.workspace_id,
            ChosenSet.set_id,
            func.row_number()
            .over(partition_by=ChosenSet.workspace_id, order_by=ChosenSet.position)
            .label("at"),
            func.count().over(partition_by=ChosenSet.workspace_id).label("of"),
        )
        .where(
            ChosenSet.workspace_id.in_(
                select(ChosenSet.workspace_id).where(ChosenSet.set_id == chosen.id)
            )
        )
        .subquery()
    )
    found = (
        select(Workspace.name, each.c.at, each.c.of)
        .join(each, each.c.workspace_id == Workspace.id)
        .where(each.c.set_id == chosen.id)
        .order_by(Workspace.name)
        .limit(MOST_USERS)
    )
    return [Chosen(*row) for row in tx.db.execute(found)]


def update(tx: Transaction, chosen: VariableSet, changes: Fields) -> None:
    """Change its name or description. Raises Invalid, and Conflict if the name is taken."""
    tx.require("templates:manage", chosen.project_id)
    if "name" in changes:
        chosen.name = names.check(changes["name"])
    chosen.description = changes.get("description", chosen.description)
    names.store(tx.db, chosen, "variable set")
    audit.record(
        tx, "variable_set.update", chosen.id, project_id=chosen.project_id, name=chosen.name,
    )  # fmt: skip


def delete(tx: Transaction, chosen: VariableSet) -> None:
    """Delete a set with its variables. Raises Conflict that names the workspaces that use it."""
    tx.require("templates:manage", chosen.project_id)
    db = tx.db
    db.refresh(chosen, with_for_update=True)
    users = list(
        db.scalars(
            select(Workspace.name)
            .join(ChosenSet, ChosenSet.workspace_id == Workspace.id)
            .where(ChosenSet.set_id == chosen.id)
            .order_by(Workspace.name)
        )
    )
    if users:
        raise Conflict(
            f"The variable set is used by the workspaces {', '.join(users)}. Take it away from "
            "them first.",
            code="variable-set-in-use",
            workspaces=users,
        )
    proven.delete_all(db, Variable, Variable.set_id == chosen.id)
    db.delete(chosen)
    audit.record(
        tx, "variable_set.delete", chosen.id, project_id=chosen.project_id, name=chosen.name,
    )  # fmt: skip


def choose(tx: Transaction, workspace: Workspace, references: Sequence[str]) -> None:
    """Let the workspace have exactly these sets; a later one wins. Raises Invalid."""
    tx.require("templates:manage", workspace.project_id)
    chosen = [_chosen(tx.db, workspace.project, reference) for reference in references]
    if len({one.id for one in chosen}) < len(chosen) or len(chosen) > MOST_CHOSEN:
        raise Invalid(
            f"A workspace has each variable set once, and at most {MOST_CHOSEN}.",
            code="variable-sets-invalid",
        )
    tx.db.execute(delete_from(ChosenSet).where(ChosenSet.workspace_id == workspace.id))
    tx.db.add_all(
        ChosenSet(workspace_id=workspace.id, set_id=one.id, position=position)
        for position, one in enumerate(chosen)
    )
    tx.db.flush()
    tx.db.expire(workspace, ["variable_sets"])
    audit.record(
        tx, "workspace.set_variable_sets", workspace.id, project_id=workspace.project_id,
        sets=[one.name for one in chosen],
    )  # fmt: skip


def _chosen(db: Session, project: Project, reference: str) -> VariableSet:
    """The set that a request names. Raises Invalid: a wrong reference is a wrong request."""
    query = (
        select(VariableSet)
        .where(VariableSet.project_id == project.id, names.called(VariableSet, reference))
        .with_for_update(read=True)  # it is not deleted meanwhile
    )
    found = db.scalars(query).one_or_none()
    if found is None:
        raise Invalid(
            f"There is no variable set {reference!r} in the project {project.name!r}.",
            code="no-variable-set",
        )
    return found
