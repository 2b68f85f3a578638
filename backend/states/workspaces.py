"""Workspaces: named places where a template runs, each with its own state and variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from backend import audit, names
from backend.catalogue import keys, projects, sources, templates, variable_sets, variables
from backend.catalogue.variables import NewVariable
from backend.errors import Conflict, Invalid, NotFound
from backend.models import (
    Key,
    Project,
    Run,
    Template,
    Workspace,
)
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.states import refusals, states
from backend.transactions import Transaction

# …/{project}/lock is the lock of the project's default workspace; …/workspaces/new is a page
RESERVED = ("lock", "new")
# the scope that changing a limit needs: a timeout takes locks over, the others remove versions
LIMITS = {
    "lock_timeout_seconds": "state:unlock",
    "keep_versions": "state:delete",
    "keep_days": "state:delete",
}


@dataclass(frozen=True)
class NewWorkspace:
    """The properties of a new workspace. The default name is the template's, numbered if taken."""

    name: str | None = None
    module_key: str | None = None
    variables: Sequence[NewVariable] = ()
    variable_sets: Sequence[str] = ()


class Changes(TypedDict, total=False):
    """Keys, templates and sets are names or ids. A limit of None takes the installation's."""

    name: str
    template: str
    module_key: str | None
    lock_timeout_seconds: int | None
    keep_versions: int | None
    keep_days: int | None
    start_empty: bool
    shares_backend: bool
    variable_sets: Sequence[str]
    variable_files: list[str]
    backend_config_files: list[str]


def create(
    tx: Transaction, project: Project, new: NewWorkspace, template: str | None = None
) -> Workspace:
    """Create a workspace with an empty state. Without a template it only keeps a state.

    The first workspace of a template is its default, and so is the first one of a project. Raises
    Forbidden, Invalid, and Conflict, also when the quota of the project is reached.
    """
    tx.require("templates:manage", project.id)
    runs = None if template is None else templates.chosen(tx.db, project, template)
    return _create(tx, project, new, runs)


def create_template(
    tx: Transaction, project: Project, new: NewWorkspace, **fields: Unpack[templates.Fields]
) -> Template:
    """Create a template with its default workspace, so that a run can be queued at once.

    Raises what `templates.create` and `create` raise.
    """
    template = templates.create(tx, project, **fields)
    _create(tx, project, new, template)
    return template


def _create(
    tx: Transaction, project: Project, new: NewWorkspace, template: Template | None
) -> Workspace:
    db = tx.db
    if refusal := refusals.of_another_state(db, project):
        raise refusal.as_conflict()
    workspace = Workspace(
        project_id=project.id,
        template_id=None if template is None else template.id,
        name=names.check(new.name or _name_after(db, project, template), RESERVED),
        module_key=_module_key(db, project, new.module_key),
    )
    workspace.template, workspace.project = template, project
    names.store(db, workspace, "workspace")
    states.create(db, workspace)
    if template is not None:
        template.default_workspace_id = template.default_workspace_id or workspace.id
    project.default_workspace_id = project.default_workspace_id or workspace.id
    audit.record(
        tx, "workspace.create", workspace.id, project_id=project.id,
        name=workspace.name, template=workspace.template_id,
    )  # fmt: skip
    for variable in new.variables:
        variables.create(tx, workspace, variable)
    if new.variable_sets:
        variable_sets.choose(tx, workspace, new.variable_sets)
    return workspace


def _name_after(db: Session, project: Project, template: Template | None) -> str:
    """The template's name, with a number if it is taken. Raises Invalid without a template."""
    if template is None:
        raise Invalid("A workspace without a template needs a name.", code="name-missing")
    taken = db.scalars(select(Workspace.name).where(Workspace.project_id == project.id))
    return names.free(template.name, [*taken, *RESERVED])


def named(tx: Transaction, project: str, reference: str) -> Workspace:
    """A workspace. Raises NotFound, also for who does not belong to the project.

    It requires no scope: the operation that works with the workspace does.
    """
    return in_project(tx.db, projects.named(tx, project), reference)


def get(tx: Transaction, project: str, reference: str) -> Workspace:
    """One workspace, for showing it. Raises NotFound, Forbidden."""
    found = named(tx, project, reference)
    tx.require("runs:read", found.project_id)
    return found


def in_project(db: Session, project: Project, reference: str) -> Workspace:
    """The workspace with this name or id. Raises NotFound."""
    found = db.scalars(
        select(Workspace)
        .where(Workspace.project_id == project.id, names.called(Workspace, reference))
        .options(joinedload(Workspace.template), joinedload(Workspace.module_key))
    ).one_or_none()
    if found is None:
        raise missing(project, reference)
    return found


def missing(project: Project, reference: str) -> NotFound:
    return NotFound(f"There is no workspace {reference!r} in the project {project.name!r}.")


def chosen(
    db: Session, project: Project, workspace: str | None = None, template: Template | None = None
) -> Workspace:
    """The workspace that a request names: by its own name, by its template, or by default.

    Raises Invalid when there is none.
    """
    reference = workspace or (
        project.default_workspace_id if template is None else template.default_workspace_id
    )
    if reference is None:
        raise Invalid("The project has no default workspace: name one.", code="no-workspace")
    try:
        found = in_project(db, project, reference)
    except NotFound as error:
        raise Invalid(error.message, code="no-workspace") from None
    if template is not None and found.template_id != template.id:
        raise Invalid(
            f"The workspace {found.name!r} does not run the template {template.name!r}.",
            code="no-workspace",
        )
    return found


def find_all(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Workspace]:
    """The workspaces of a project."""
    tx.require("runs:read", project.id)
    query = (
        select(Workspace)
        .where(Workspace.project_id == project.id)
        .options(
            joinedload(Workspace.template),
            joinedload(Workspace.module_key),
            selectinload(Workspace.variable_sets),
        )
    )
    return page(tx.db, query, Workspace.id, after, limit)


def update(tx: Transaction, workspace: Workspace, **changes: Unpack[Changes]) -> None:
    """Change a workspace. A new name changes the address of its state.

    Changing a limit also needs the scope that LIMITS names. Raises Forbidden, Invalid, and
    Conflict: for a name that is taken, while a run uses the old name, and for a second template.
    """
    tx.require("templates:manage", workspace.project_id)
    if "template" in changes:
        _set_template(tx, workspace, changes["template"])
    if "module_key" in changes:
        _set_module_key(tx, workspace, changes["module_key"])
    if limits := {name: changes.get(name) for name in LIMITS if name in changes}:
        _set_limits(tx, workspace, limits)
    if "start_empty" in changes:
        _decide(tx, workspace, "start_empty", value=changes["start_empty"])
    if "shares_backend" in changes:
        _decide(tx, workspace, "shares_backend", value=changes["shares_backend"])
        if not workspace.shares_backend:
            workspace.own_backend = None  # who was there first keeps it; its next run decides
    _set_files(tx, workspace, changes)
    if "variable_sets" in changes:
        variable_sets.choose(tx, workspace, changes["variable_sets"])
    if "name" in changes and changes["name"] != workspace.name:
        _rename(tx, workspace, changes["name"])


def _rename(tx: Transaction, workspace: Workspace, name: str) -> None:
    projects.refuse_while_running(tx.db, Run.workspace_id == workspace.id)
    old, workspace.name = workspace.name, names.check(name, RESERVED)
    names.store(tx.db, workspace, "workspace")
    audit.record(
        tx, "workspace.rename", workspace.id, project_id=workspace.project_id, name=name, old=old
    )


def _set_module_key(tx: Transaction, workspace: Workspace, key: str | None) -> None:
    """Set the SSH key for private modules, or remove it with None. Raises Invalid."""
    workspace.module_key = _module_key(tx.db, workspace.project, key)
    tx.db.flush()
    audit.record(
        tx, "workspace.set_module_key", workspace.id, project_id=workspace.project_id,
        key=workspace.module_key_id,
    )  # fmt: skip


def _set_files(tx: Transaction, workspace: Workspace, changes: Changes) -> None:
    """Set the files of the repository that its runs use beside the template's. Raises Invalid."""
    if "variable_files" in changes:
        files = sources.check_files(changes["variable_files"], "variable_files")
        _decide(tx, workspace, "variable_files", value=files)
    if "backend_config_files" in changes:
        files = sources.check_files(changes["backend_config_files"], "backend_config_files")
        _decide(tx, workspace, "backend_config_files", value=files)


def _set_template(tx: Transaction, workspace: Workspace, reference: str) -> None:
    """Give it a template. Raises Conflict when it has another one, which its state belongs to."""
    template = templates.chosen(tx.db, workspace.project, reference)
    if workspace.template_id == template.id:
        return
    if workspace.template_id is not None:
        raise Conflict(
            f"The state of {workspace.name!r} belongs to the template that it runs now: create "
            "another workspace for this template.",
            code="template-set",
        )
    workspace.template = template
    template.default_workspace_id = template.default_workspace_id or workspace.id
    tx.db.flush()
    audit.record(
        tx, "workspace.set_template", workspace.id, project_id=workspace.project_id,
        template=template.id,
    )  # fmt: skip


def _decide(tx: Transaction, workspace: Workspace, name: str, *, value: object) -> None:
    """Record what a person decides about the state of the workspace."""
    setattr(workspace, name, value)
    tx.db.flush()
    audit.record(
        tx, f"workspace.set_{name}", workspace.id, project_id=workspace.project_id, value=value
    )


def _set_limits(tx: Transaction, workspace: Workspace, limits: Mapping[str, object]) -> None:
    for name, limit in limits.items():
        tx.require(LIMITS[name], workspace.project_id)
        setattr(workspace, name, limit)
    tx.db.flush()
    audit.record(
        tx, "workspace.set_limits", workspace.id, project_id=workspace.project_id,
        limits=dict(limits),
    )  # fmt: skip


def _module_key(db: Session, project: Project, reference: str | None) -> Key | None:
    key = keys.chosen(db, project, reference)
    if key is not None and key.kind != "ssh":
        raise Invalid(
            f"The key {key.name!r} is of kind {key.kind}, but private modules need an SSH key.",
            code="key-kind",
        )
    return key
