from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from backend.catalogue import projects, templates
from backend.models import Project, Template
from backend.models import Workspace as WorkspaceRow
from backend.runs import queue
from backend.states import addresses, locks, states, workspaces
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
    Name,
    Named,
    Page,
    ProjectPath,
    Reference,
    Repeatable,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.locks import Lock, WorkspacePath
from backend.web.api.locks import shown as shown_lock
from backend.web.api.runs import Run, summary
from backend.web.api.states import State, shown
from backend.web.api.variables import NewVariable, create_in
from backend.web.current import installation, principal, reading, transaction

bp = blueprint("workspaces", "Where a template runs: each has a state of its own")

LIMITS = ("lock_timeout_seconds", "keep_versions", "keep_days")


class TemplateWorkspace(Body):
    name: Name = Field(default_factory=str, description="By default the template's, made unique")
    module_key: Reference | None = Field(None, description="An SSH key for private modules")
    variables: list[NewVariable] = Field(default_factory=list, max_length=200)


class NewWorkspace(TemplateWorkspace):
    template: Reference | None = Field(
        None, description="What it runs; without one it has a name, keeps a state and runs nothing"
    )


class WorkspaceChange(Body):
    name: Name = Field(default_factory=str)
    template: Reference = Field(default_factory=str, description="For a workspace without one")
    module_key: Reference | None = Field(None, description="An SSH key for private modules")
    lock_timeout_seconds: int | None = Field(
        None,
        ge=60,
        le=2_592_000,
        description="A LOCK takes over from a client that was silent for so long; null: never. "
        "Give it more than your slowest resource takes. Needs state:unlock",
    )
    keep_versions: int | None = Field(
        None, ge=1, le=1_000_000, description="The newest ones that stay. Needs state:delete"
    )
    keep_days: int | None = Field(
        None, ge=1, le=36_500, description="For how long they stay. Needs state:delete"
    )


class Freezing(Body):
    reason: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*$",
        description="Shown to whoever wants the lock meanwhile",
    )


class Workspace(Answer):
    id: str
    name: str
    template: Named | None = Field(description="Null: it keeps a state, and runs nothing")
    module_key: Named | None
    frozen_at: datetime | None = Field(description="Since then nothing takes its lock")
    frozen_by: str | None
    frozen_reason: str | None
    lock_timeout_seconds: int | None = Field(description="Null: a lock is never taken over")
    keep_versions: int | None = Field(description="Null: as the installation has it")
    keep_days: int | None = Field(description="Null: as the installation has it")
    created_at: datetime


class Workspaces(Page[Workspace]):
    pass


class Snippets(Answer):
    """Ready to paste."""

    terraform: str
    tofu: str
    environment: str = Field(description="The same as TF_HTTP_… exports")


class Addresses(Answer):
    """Where terraform finds the state. Give it all three."""

    address: str
    lock_address: str
    unlock_address: str
    username: str = Field(description="Any; the password is a token")
    snippets: Snippets


class WorkspaceDetail(Workspace):
    is_default: bool = Field(description="Of the project: for runs that name none")
    state: State
    addresses: Addresses
    lock: Lock
    last_run: Run | None = Field(description="Null without runs:read too")


def create_in_template(
    db: Session, project: Project, template: Template | None, new: TemplateWorkspace
) -> WorkspaceRow:
    given = new.given()
    workspace = workspaces.create(
        db, principal(), project, template,
        name=given.get("name"), module_key=given.get("module_key"),
    )  # fmt: skip
    for variable in new.variables:
        create_in(db, workspace, variable)
    return workspace


@bp.get("/projects/<project>/workspaces", responses={200: Workspaces})
def list_workspaces(path: ProjectPath, query: Cursor) -> Response:
    """The workspaces of a project."""
    with reading() as db:
        project = projects.get(db, principal(), path.project, "runs:read")
        found = workspaces.find_all(db, project, query.cursor, query.limit)
    return answer(Workspaces.model_validate(found))


@bp.post(
    "/projects/<project>/workspaces", responses={201: WorkspaceDetail, **WITH_BODY, **problems(409)}
)
def create_workspace(path: ProjectPath, header: Repeatable, body: NewWorkspace) -> Response:
    """Create a workspace, with an empty state. Without a template it only keeps that state."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "templates:manage")
        template = None if body.template is None else templates.chosen(db, project, body.template)
        workspace = once(
            db,
            header,
            lambda: create_in_template(db, project, template, body),
            lambda made: workspaces.get(db, project, made),
        )
        found = _detail(db, project, workspace)
    return answer(found, 201)


@bp.get("/projects/<project>/workspaces/<workspace>", responses={200: WorkspaceDetail})
def get_workspace(path: WorkspacePath) -> Response:
    """One workspace: its addresses, its state, who holds the lock, and its last run."""
    with reading() as db:
        project = projects.get(db, principal(), path.project, "runs:read")
        found = _detail(db, project, workspaces.get(db, project, path.workspace))
    return answer(found)


@bp.patch(
    "/projects/<project>/workspaces/<workspace>",
    responses={200: WorkspaceDetail, **WITH_BODY, **problems(409)},
)
def update_workspace(path: WorkspacePath, body: WorkspaceChange) -> Response:
    """Change a workspace. A new name changes the address of its state."""
    given = body.given()
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "templates:manage")
        workspace = workspaces.get(db, project, path.workspace)
        if "template" in given:
            template = templates.chosen(db, project, given["template"])
            workspaces.set_template(db, principal(), workspace, template)
        if "module_key" in given:
            workspaces.set_module_key(db, principal(), project, workspace, given["module_key"])
        if limits := {name: given[name] for name in LIMITS if name in given}:
            workspaces.set_limits(db, principal(), workspace, **limits)
        if "name" in given:
            workspaces.rename(db, principal(), workspace, given["name"])
        found = _detail(db, project, workspace)
    return answer(found)


@bp.post(
    "/projects/<project>/workspaces/<workspace>/freeze",
    responses={200: WorkspaceDetail, **WITH_BODY, **problems(409)},
)
def freeze_workspace(path: WorkspacePath, body: Freezing) -> Response:
    """Freeze a workspace: nobody takes its lock, writes its state or queues a run.

    Reading stays possible. Who holds the lock already may still write and unlock; runs that are
    queued wait.
    """
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "state:unlock")
        workspace = workspaces.get(db, project, path.workspace)
        workspaces.freeze(db, principal(), workspace, body.reason)
        found = _detail(db, project, workspace)
    return answer(found)


@bp.post("/projects/<project>/workspaces/<workspace>/unfreeze", responses={200: WorkspaceDetail})
def unfreeze_workspace(path: WorkspacePath) -> Response:
    """Let a frozen workspace go on, and the runs that waited for it."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "state:unlock")
        workspace = workspaces.get(db, project, path.workspace)
        workspaces.unfreeze(db, principal(), workspace)
        found = _detail(db, project, workspace)
    return answer(found)


@bp.delete(
    "/projects/<project>/workspaces/<workspace>", responses={204: None, **problems(409, 423)}
)
def delete_workspace(path: WorkspacePath) -> Response:
    """Delete a workspace whose state is empty or deleted, with its runs and variables."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "templates:manage")
        workspaces.delete(db, principal(), workspaces.get(db, project, path.workspace))
    return Response(status=204)


def _detail(db: Session, project: Project, workspace: WorkspaceRow) -> WorkspaceDetail:
    state = states.of_workspace(db, workspace)
    return WorkspaceDetail(
        **Workspace.model_validate(workspace).model_dump(),
        is_default=project.default_workspace_id == workspace.id,
        state=shown(db, state),
        addresses=_addresses(project, workspace),
        lock=shown_lock(locks.get(db, state)),
        last_run=_last_run(db, project, workspace),
    )


def _addresses(project: Project, workspace: WorkspaceRow) -> Addresses:
    url = installation().settings.public_url
    found = addresses.of_workspace(url, project.name, workspace.name)
    snippets = Snippets(**asdict(addresses.snippets(found)))
    return Addresses(**asdict(found), username=addresses.USERNAME, snippets=snippets)


def _last_run(db: Session, project: Project, workspace: WorkspaceRow) -> Run | None:
    if not principal().may("runs:read", project.id):
        return None
    found = queue.find_all(db, project, workspace_id=workspace.id, limit=1)
    return summary(found[0]) if found else None
