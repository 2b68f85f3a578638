"""Projects: people are members of them, and everything else belongs to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

from sqlalchemy import ColumnElement, Select, and_, func, select, true
from sqlalchemy import delete as delete_from
from sqlalchemy.orm import QueryableAttribute, Session

from backend import audit, names
from backend.errors import Conflict, Invalid, NotFound
from backend.models import (
    ENDED,
    GitCredential,
    Key,
    Member,
    Project,
    Run,
    State,
    StateVersion,
    Template,
    Token,
    Variable,
    VariableSet,
    Workspace,
)
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.principal import PIN_HOSTS, Principal
from backend.sealing import proven
from backend.transactions import Transaction

# /api/terraform/state/workspace/… is reserved for the addresses of building blocks
RESERVED = ("workspace",)
SHOWN = 5


class Fields(TypedDict, total=False):
    name: str
    description: str
    known_hosts: str
    accept_new_host_keys: bool
    default_workspace: str | None
    max_states: int | None
    max_versions: int | None
    max_state_bytes: int | None
    max_runs: int | None


QUOTAS = ("max_states", "max_versions", "max_state_bytes", "max_runs")


@dataclass(frozen=True, slots=True)
class Use:
    """How much of its quotas a project uses."""

    states: int
    pinned_versions: int  # of the state with the most
    state_bytes: int  # of the largest current version


def named(tx: Transaction, reference: str) -> Project:
    """The project with this name or id. Raises NotFound, also for who does not belong to it.

    It requires no scope: the operation that works with the project does.
    """
    visible = _visible(tx.principal)
    found = tx.db.scalars(visible.where(names.called(Project, reference))).one_or_none()
    if found is None:
        raise NotFound(f"There is no project {reference!r}, or it is not open to you.")
    return found


def find_all(
    tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Project]:
    """The projects that are open to the principal."""
    tx.principal.require_held("runs:read")  # every role has it
    return page(tx.db, _visible(tx.principal), Project.id, after, limit)


def get(tx: Transaction, reference: str) -> Project:
    """One project, for showing it. Raises NotFound, Forbidden."""
    found = named(tx, reference)
    tx.require("runs:read", found.id)
    return found


def seen(
    principal: Principal, column: QueryableAttribute[str], only: Project | None = None
) -> ColumnElement[bool]:
    """The condition for what belongs to this project, or else to one that the principal sees.

    `column` has the id of the project.
    """
    if only is not None:
        return column == only.id
    if principal.project_id is not None:
        return column == principal.project_id
    return true() if principal.roles is None else column.in_([*principal.roles])


def use(tx: Transaction, project: Project) -> Use:
    """How much of its quotas a project uses."""
    tx.require("runs:read", project.id)
    db = tx.db
    mine = State.project_id == project.id
    states = db.scalar(select(func.count()).where(Workspace.project_id == project.id))
    newest = and_(StateVersion.state_id == State.id, StateVersion.number == State.current)
    size = db.scalar(select(func.max(StateVersion.size)).join(State, newest).where(mine))
    pinned = (
        select(func.count().label("versions"))
        .select_from(StateVersion)
        .join(State, State.id == StateVersion.state_id)
        .where(mine, StateVersion.pinned, StateVersion.removed_at.is_(None))
        .group_by(StateVersion.state_id)
        .subquery()
    )
    most = db.scalar(select(func.max(pinned.c.versions)))
    return Use(states or 0, most or 0, size or 0)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a project: what is in the way of deleting it, and what goes with it."""

    default_workspace: str | None
    templates: int
    workspaces: int
    keys: int
    variable_sets: int
    tokens: int
    members: int


def contents(tx: Transaction, project: Project) -> Contents:
    """How much is in a project. For its administrators."""
    tx.require("admin", project.id)
    named = select(Workspace.name).where(Workspace.id == project.default_workspace_id)
    counted = (
        select(func.count()).where(of == project.id, *more).scalar_subquery()
        for of, *more in (
            (Template.project_id,),
            (Workspace.project_id,),
            (Key.project_id,),
            (VariableSet.project_id,),
            (Token.project_id, Token.run_id.is_(None), Token.revoked_at.is_(None)),
            (Member.project_id,),
        )
    )
    return Contents(*tx.db.execute(select(named.scalar_subquery(), *counted)).one())


def create(tx: Transaction, **fields: Unpack[Fields]) -> Project:
    """Create a project, for administrators of the installation.

    Raises Forbidden, Invalid, Conflict.
    """
    tx.principal.require_installation()
    project = Project()
    _assign(tx.db, project, fields)
    names.store(tx.db, project, "project")
    audit.record(tx, "project.create", project.id, project_id=project.id, name=project.name)
    return project


def update(tx: Transaction, project: Project, **changes: Unpack[Fields]) -> Project:
    """Change a project. For administrators of the project; quotas for those of the installation.

    Raises Forbidden, Invalid, and Conflict when the name is taken or a run uses the old name.
    """
    tx.require("admin", project.id)
    if not changes.keys().isdisjoint(QUOTAS):
        tx.principal.require_installation()
    if changes.get("name", project.name) != project.name:
        refuse_while_running(tx.db, Run.project_id == project.id)
    _assign(tx.db, project, changes)
    names.store(tx.db, project, "project")
    audit.record(tx, "project.update", project.id, project_id=project.id, fields=sorted(changes))
    return project


def pin_host_keys(tx: Transaction, project: Project, lines: str) -> None:
    """Store host keys that a run saw for the first time, if the project accepts new ones."""
    tx.require(PIN_HOSTS, project.id)
    project.known_hosts = f"{project.known_hosts.rstrip()}\n{lines}".lstrip()
    audit.record(tx, "project.host_keys", project.id, project_id=project.id)


def delete(tx: Transaction, project: Project) -> None:
    """Delete a project, its keys, variable sets and tokens.

    Raises Conflict while it has templates or states.
    """
    tx.principal.require_installation()
    db = tx.db
    db.refresh(project, with_for_update=True)
    in_the_way = {
        "workspaces": _names(db, select(Workspace.name).where(Workspace.project_id == project.id)),
        "templates": _names(db, select(Template.name).where(Template.project_id == project.id)),
        "states": _names(db, select(State.id).where(State.project_id == project.id)),
    }
    held = {noun: found for noun, found in in_the_way.items() if found}
    if held:
        said = "; ".join(f"{noun} {', '.join(found)}" for noun, found in held.items())
        raise Conflict(
            f"The project still has {said}. Delete them first.", code="project-not-empty", **held
        )
    db.execute(delete_from(GitCredential).where(GitCredential.project_id == project.id))
    sets = select(VariableSet.id).where(VariableSet.project_id == project.id)
    proven.delete_all(db, Variable, Variable.set_id.in_(sets))
    db.execute(delete_from(VariableSet).where(VariableSet.project_id == project.id))
    for model in (Member, Token, Key):
        proven.delete_all(db, model, model.project_id == project.id)
    db.delete(project)
    audit.record(tx, "project.delete", project.id, project_id=project.id, name=project.name)


def refuse_while_running(db: Session, *which: object) -> None:
    """Raise Conflict while a run is queued or at work, because it uses the address of the state."""
    running = db.scalar(
        select(Run.id).where(*which, Run.status.not_in(ENDED)).limit(1)  # type: ignore[arg-type]
    )
    if running is not None:
        raise Conflict(
            f"The run {running} has not ended. Wait for it, or cancel it.",
            code="run-active",
            run=running,
        )


def _visible(principal: Principal) -> Select[Project]:
    return select(Project).where(seen(principal, Project.id))


def _names(db: Session, query: Select[str]) -> list[str]:
    return list(db.scalars(query.limit(SHOWN)).all())


def _assign(db: Session, project: Project, fields: Fields) -> None:
    if "default_workspace" in fields:
        project.default_workspace_id = _workspace(db, project, fields["default_workspace"])
    if "name" in fields:
        project.name = names.check(fields["name"], RESERVED)
    if "description" in fields:
        project.description = fields["description"]
    if "known_hosts" in fields:
        project.known_hosts = _known_hosts(fields["known_hosts"])
    if "accept_new_host_keys" in fields:
        project.accept_new_host_keys = fields["accept_new_host_keys"]
    for quota, limit in fields.items():
        if quota in QUOTAS:
            setattr(project, quota, limit)


def _known_hosts(text: str) -> str:
    """Check lines as ssh-keyscan prints them. Raises Invalid with the number of a wrong line."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        expected = 4 if words[0].startswith("@") else 3
        if len(words) < expected:
            raise Invalid(
                f"Line {number} of known_hosts is not a host key: a line needs a host, a key type "
                "and a key, as `ssh-keyscan HOST` prints it.",
                code="known-hosts-invalid",
            )
    return text


def _workspace(db: Session, project: Project, reference: str | None) -> str | None:
    if reference is None:
        return None
    found = db.scalar(
        select(Workspace.id).where(
            Workspace.project_id == project.id, names.called(Workspace, reference)
        )
    )
    if found is None:
        raise Invalid(f"There is no workspace {reference!r} in this project.", code="no-workspace")
    return found
