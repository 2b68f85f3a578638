"""Workspaces: named places where a template runs, each with its own state and variables."""

from __future__ import annotations

from sqlalchemy import delete as delete_from
from sqlalchemy import or_, select
from sqlalchemy import update as update_rows
from sqlalchemy.orm import Session, joinedload

from backend import audit, names
from backend.catalogue import keys, projects
from backend.db import now
from backend.errors import Conflict, Invalid, NotFound
from backend.models import (
    Alias,
    Key,
    Lock,
    LogChunk,
    Project,
    RescuedWrite,
    Run,
    State,
    StateVersion,
    Step,
    Template,
    Token,
    Variable,
    Workspace,
)
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.principal import Principal
from backend.states import locks, refusals, rescued, states

# …/{project}/lock is the lock of the project's default workspace
RESERVED = ("lock",)


def create(  # noqa: PLR0913 the columns of a workspace
    db: Session,
    principal: Principal,
    project: Project,
    template: Template | None,
    *,
    name: str | None = None,
    module_key: str | None = None,
) -> Workspace:
    """A new workspace with its empty state; its name is the template's, numbered when taken.

    Without a template it keeps a state, and runs nothing. The first one of a template is its
    default, the first one of a project too. Raises Invalid; Conflict, at the project's quota too.
    """
    if refusal := refusals.of_another_state(db, project):
        raise refusal.as_conflict()
    if name is None:
        if template is None:
            raise Invalid("A workspace without a template needs a name.", code="name-missing")
        taken = db.scalars(select(Workspace.name).where(Workspace.project_id == project.id))
        name = names.free(template.name, [*taken, *RESERVED])
    workspace = Workspace(
        project_id=project.id,
        template_id=None if template is None else template.id,
        name=names.check(name, RESERVED),
        module_key=_module_key(db, project, module_key),
    )
    workspace.template, workspace.project = template, project
    names.store(db, workspace, "workspace")
    states.create(db, workspace)
    if template is not None:
        template.default_workspace_id = template.default_workspace_id or workspace.id
    project.default_workspace_id = project.default_workspace_id or workspace.id
    audit.record(
        db, principal, "workspace.create", workspace.id, project_id=project.id,
        name=workspace.name, template=workspace.template_id,
    )  # fmt: skip
    return workspace


def get(db: Session, project: Project, reference: str) -> Workspace:
    found = db.scalars(
        select(Workspace)
        .where(Workspace.project_id == project.id, names.called(Workspace, reference))
        .options(joinedload(Workspace.template), joinedload(Workspace.module_key))
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no workspace {reference!r} in the project {project.name!r}.")
    return found


def chosen(
    db: Session, project: Project, workspace: str | None = None, template: Template | None = None
) -> Workspace:
    """The workspace that a request names: itself, by its template, or not at all (the default).

    Raises Invalid when there is none.
    """
    reference = workspace or (
        project.default_workspace_id if template is None else template.default_workspace_id
    )
    if reference is None:
        raise Invalid("There is no default workspace: name one.", code="no-workspace")
    try:
        found = get(db, project, reference)
    except NotFound as error:
        raise Invalid(error.message, code="no-workspace") from None
    if template is not None and found.template_id != template.id:
        raise Invalid(
            f"The workspace {found.name!r} does not run the template {template.name!r}.",
            code="no-workspace",
        )
    return found


def find_all(
    db: Session, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Workspace]:
    query = (
        select(Workspace)
        .where(Workspace.project_id == project.id)
        .options(joinedload(Workspace.template), joinedload(Workspace.module_key))
    )
    return page(db, query, Workspace.id, after, limit)


def rename(db: Session, principal: Principal, workspace: Workspace, name: str) -> None:
    """Its address changes with it. Raises Invalid, and Conflict while a run uses the old one."""
    if name == workspace.name:
        return
    projects.refuse_while_running(db, Run.workspace_id == workspace.id)
    old, workspace.name = workspace.name, names.check(name, RESERVED)
    names.store(db, workspace, "workspace")
    audit.record(
        db, principal, "workspace.rename", workspace.id, project_id=workspace.project_id,
        name=name, old=old,
    )  # fmt: skip


def set_module_key(
    db: Session, principal: Principal, project: Project, workspace: Workspace, key: str | None
) -> None:
    """The SSH key for private modules; None takes it away. Raises Invalid."""
    workspace.module_key = _module_key(db, project, key)
    db.flush()
    audit.record(
        db, principal, "workspace.set_module_key", workspace.id, project_id=project.id,
        key=workspace.module_key_id,
    )  # fmt: skip


def set_template(
    db: Session, principal: Principal, workspace: Workspace, template: Template
) -> None:
    """What it runs from now on. Raises Conflict when it runs another one: its state is of that."""
    if workspace.template_id == template.id:
        return
    if workspace.template_id is not None:
        raise Conflict(
            f"{workspace.name!r} runs another template, which its state belongs to: make another "
            "workspace.",
            code="template-set",
        )
    workspace.template = template
    template.default_workspace_id = template.default_workspace_id or workspace.id
    db.flush()
    audit.record(
        db, principal, "workspace.set_template", workspace.id, project_id=workspace.project_id,
        template=template.id,
    )  # fmt: skip


def set_limits(
    db: Session, principal: Principal, workspace: Workspace, **limits: int | None
) -> None:
    """lock_timeout_seconds needs state:unlock; keep_versions and keep_days state:delete.

    The one lets a lock be taken from its holder, the others let versions go. Raises Forbidden.
    """
    for name, limit in limits.items():
        scope = "state:unlock" if name == "lock_timeout_seconds" else "state:delete"
        principal.require(scope, workspace.project_id)
        setattr(workspace, name, limit)
    db.flush()
    audit.record(
        db, principal, "workspace.set_limits", workspace.id, project_id=workspace.project_id,
        limits=limits,
    )  # fmt: skip


def freeze(db: Session, principal: Principal, workspace: Workspace, reason: str) -> None:
    """Let nobody take its lock, write its state or queue a run, until it is unfrozen.

    Who holds the lock already may still write and unlock: what is applied is not lost. Raises
    Conflict, with who and why, when it is frozen already.
    """
    _wait_for_lockers(db, workspace)
    if refusal := refusals.frozen(workspace):
        raise refusal.as_conflict()
    workspace.frozen_at = db.scalar(select(now()))
    workspace.frozen_by, workspace.frozen_reason = principal.name, reason
    audit.record(
        db, principal, "workspace.freeze", workspace.id, project_id=workspace.project_id,
        reason=reason,
    )  # fmt: skip


def unfreeze(db: Session, principal: Principal, workspace: Workspace) -> None:
    """Harmless when it is not frozen. Runs that waited go on."""
    _wait_for_lockers(db, workspace)
    if workspace.frozen_at is None:
        return
    workspace.frozen_at = workspace.frozen_by = workspace.frozen_reason = None
    audit.record(db, principal, "workspace.unfreeze", workspace.id, project_id=workspace.project_id)


def _wait_for_lockers(db: Session, workspace: Workspace) -> None:
    """Whoever takes the lock has its row, and then looks whether the workspace is frozen."""
    db.refresh(workspace, with_for_update={"of": Workspace})
    locks.for_update(db, states.of_workspace(db, workspace))


def delete(db: Session, principal: Principal, workspace: Workspace) -> None:
    """Delete it with its variables, runs, aliases and deleted state. The audit log stays.

    Raises Locked; Conflict while it is frozen, its state holds something, or waits with refused
    writes for a decision, or a run has not ended or is not looked at.
    """
    db.refresh(workspace, with_for_update={"of": Workspace})
    if refusal := refusals.frozen(workspace):
        raise refusal.as_conflict()
    state = states.of_workspace(db, workspace)
    lock = locks.for_update(db, state)
    if lock.held:  # somebody's first apply would find no place for what it made
        raise locks.locked(lock)
    if state.current and state.deleted_at is None:
        raise Conflict(
            f"The state of {workspace.name!r} holds {state.current} versions. Destroy what it "
            "describes, then delete the state first.",
            code="state-exists",
        )
    if state.deleted_at is None and (waiting := rescued.undecided(db, state)):
        raise Conflict(
            f"{waiting} refused writes of {workspace.name!r} wait for a decision, and nothing else "
            "has what is in them: promote or dismiss them first.",
            code="rescued-undecided",
        )
    projects.refuse_while_running(db, Run.workspace_id == workspace.id)
    _refuse_lost_runs(db, workspace)
    _delete_rows(db, workspace, state)
    audit.record(
        db, principal, "workspace.delete", workspace.id, project_id=workspace.project_id,
        name=workspace.name,
    )  # fmt: skip


def _refuse_lost_runs(db: Session, workspace: Workspace) -> None:
    lost = db.scalar(select(Run.id).where(Run.workspace_id == workspace.id, Run.blocking).limit(1))
    if lost is not None:
        raise Conflict(
            f"The run {lost} was lost, and nobody acknowledged it: look at it first.",
            code="run-lost",
            run=lost,
        )


def _delete_rows(db: Session, workspace: Workspace, state: State) -> None:
    runs = select(Run.id).where(Run.workspace_id == workspace.id)
    for model in (LogChunk, Step):
        db.execute(delete_from(model).where(model.run_id.in_(runs)))
    db.execute(delete_from(Token).where(or_(Token.run_id.in_(runs), Token.state_id == state.id)))
    for kept in (Alias, RescuedWrite, StateVersion, Lock):
        db.execute(delete_from(kept).where(kept.state_id == state.id))
    for owned in (State, Run, Variable):
        db.execute(delete_from(owned).where(owned.workspace_id == workspace.id))
    for model_with_default in (Project, Template):
        db.execute(
            update_rows(model_with_default)
            .where(model_with_default.default_workspace_id == workspace.id)
            .values(default_workspace_id=None)
        )
    db.execute(delete_from(Workspace).where(Workspace.id == workspace.id))


def _module_key(db: Session, project: Project, reference: str | None) -> Key | None:
    key = keys.chosen(db, project, reference)
    if key is not None and key.kind != "ssh":
        raise Invalid(
            f"The key {key.name!r} is of kind {key.kind}: private modules need an SSH key.",
            code="key-kind",
        )
    return key
