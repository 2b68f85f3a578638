from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from flask import Response
from pydantic import Field

from backend.catalogue import projects
from backend.models import Project
from backend.models import Workspace as WorkspaceRow
from backend.runs import overviews
from backend.states import addresses, deleting, freezing, workspaces
from backend.transactions import Transaction
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Answer,
    Body,
    Cursor,
    Name,
    Named,
    Page,
    ProjectPath,
    Query,
    Reference,
    Repeatable,
    WorkspacePath,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.drift import DriftSummary
from backend.web.api.drift import summary as drift_summary
from backend.web.api.locks import Lock
from backend.web.api.locks import shown as shown_lock
from backend.web.api.new_workspace import ChosenSets, FilesOfRepository, TemplateWorkspace
from backend.web.api.run_answers import Run, summary
from backend.web.api.states import State
from backend.web.api.states import shown as shown_state
from backend.web.current import installation, reading, transaction

bp = blueprint("workspaces", "The places where templates run, each with its own state")


class NewWorkspace(TemplateWorkspace):
    template: Reference | None = Field(
        None, description="What it runs; null: it only keeps a state, and needs a name"
    )


class WorkspaceChange(Body):
    name: Name = Field(default_factory=str)
    template: Reference = Field(default_factory=str, description="Only if it has no template yet")
    module_key: Reference | None = Field(None, description="An SSH key for private modules")
    lock_timeout_seconds: int | None = Field(
        None,
        ge=60,
        le=2_592_000,
        description="After how long a LOCK takes over the lock of a silent client; null: never. "
        "Choose more than your slowest resource takes. Needs state:unlock",
    )
    keep_versions: int | None = Field(
        None, ge=1, le=1_000_000, description="How many versions to keep. Needs state:delete"
    )
    keep_days: int | None = Field(
        None,
        ge=1,
        le=36_500,
        description="For how many days to keep them once they are replaced. Needs state:delete",
    )
    start_empty: bool = Field(
        default_factory=bool,
        description="Begin with an empty state although the sources name another backend, or the "
        "repository has a state. Without it such a run is refused until the state is imported",
    )
    shares_backend: bool = Field(
        default_factory=bool,
        description="The sources may keep their state in a backend that another workspace uses "
        "too. Their runs take turns. Without it the second one is refused (`backend-shared`)",
    )
    variable_sets: ChosenSets = Field(default_factory=list)
    variable_files: FilesOfRepository = Field(
        default_factory=list,
        description="Files of the repository with variables, relative to the template's folder: "
        "`envs/prod.tfvars`. They come after those of the template. "
        "A later one wins, and every variable that is set here wins over all",
    )
    backend_config_files: FilesOfRepository = Field(
        default_factory=list,
        description="Files of the repository that complete the backend block of the sources "
        "(-backend-config). They come after those of the template. "
        "A later one wins, and variables of the kind backend_config over all",
    )


class Freezing(Body):
    reason: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*$",
        description="Shown to everybody who wants the lock",
    )


class Workspace(Answer):
    id: str
    name: str
    template: Named | None = Field(description="Null: it only keeps a state")
    module_key: Named | None
    frozen_at: datetime | None = Field(description="Since when it is frozen; null: it is not")
    frozen_by: str | None
    frozen_reason: str | None
    lock_timeout_seconds: int | None = Field(description="Null: a lock is never taken over")
    keep_versions: int | None = Field(description="Null: the setting of the installation")
    keep_days: int | None = Field(description="Null: the setting of the installation")
    start_empty: bool = Field(
        description="Whether runs may begin with an empty state although there may be another one"
    )
    own_backend: str | None = Field(
        description="The backend outside of Stateroom that its runs use, as the last one found it"
    )
    shares_backend: bool = Field(description="Whether it may share that with another workspace")
    variable_sets: list[Named] = Field(description="A later one wins")
    variable_files: list[str]
    backend_config_files: list[str]
    created_at: datetime


class Workspaces(Page[Workspace]):
    pass


class Snippets(Answer):
    """Configuration to paste."""

    terraform: str
    tofu: str
    environment: str = Field(description="The same as exports of TF_HTTP_… variables")


class Addresses(Answer):
    """The addresses of the state. Configure all three in terraform."""

    address: str
    lock_address: str
    unlock_address: str
    username: str = Field(description="Any username; the password is a token")
    snippets: Snippets


class WorkspaceDetail(Workspace):
    is_default: bool = Field(description="Used for runs of the project that name no workspace")
    state: State
    addresses: Addresses
    lock: Lock
    last_run: Run | None = Field(description="Null if there is none, and without runs:read")
    drift: DriftSummary | None = Field(
        description="What was changed outside, when that was last looked for; null: never, or "
        "without runs:read"
    )


class Contents(Answer):
    versions: int = Field(description="Versions of its state")
    rescued: int = Field(description="Refused writes that wait for a decision")
    runs: int
    aliases: int
    variables: int


class Deletion(Query):
    with_runs: bool = Field(default=False, description="Delete the records of its runs too")
    with_state: bool = Field(
        default=False,
        description="Delete its state too, with all versions and refused writes, for good. "
        "Needs state:delete",
    )


@bp.get("/projects/<project>/workspaces", responses={200: Workspaces})
def list_workspaces(path: ProjectPath, query: Cursor) -> Response:
    """The workspaces of a project."""
    with reading() as tx:
        project = projects.named(tx, path.project)
        found = workspaces.find_all(tx, project, query.cursor, query.limit)
    return answer(Workspaces.model_validate(found))


@bp.post(
    "/projects/<project>/workspaces", responses={201: WorkspaceDetail, **WITH_BODY, **problems(409)}
)
def create_workspace(path: ProjectPath, header: Repeatable, body: NewWorkspace) -> Response:
    """Create a workspace with an empty state. Without a template it only keeps a state."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        workspace = once(
            tx,
            header,
            lambda: workspaces.create(tx, project, body.new(), body.template),
            lambda made: workspaces.in_project(tx.db, project, made),
        )
        found = _detail(tx, workspace)
    return answer(found, 201)


@bp.get(WORKSPACE, responses={200: WorkspaceDetail})
def get_workspace(path: WorkspacePath) -> Response:
    """One workspace: its addresses, state, lock and last run."""
    with reading() as tx:
        found = _detail(tx, workspaces.get(tx, path.project, path.workspace))
    return answer(found)


@bp.patch(
    WORKSPACE,
    responses={200: WorkspaceDetail, **WITH_BODY, **problems(409)},
)
def update_workspace(path: WorkspacePath, body: WorkspaceChange) -> Response:
    """Change a workspace. A new name changes the address of its state."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        workspaces.update(tx, workspace, **body.given())
        found = _detail(tx, workspace)
    return answer(found)


@bp.post(
    f"{WORKSPACE}/freeze",
    responses={200: WorkspaceDetail, **WITH_BODY, **problems(409)},
)
def freeze_workspace(path: WorkspacePath, body: Freezing) -> Response:
    """Freeze a workspace: nobody can lock or write its state, or queue a run.

    Reading stays possible. The holder of the lock may still write and unlock. Queued runs wait.
    """
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        freezing.freeze(tx, workspace, body.reason)
        found = _detail(tx, workspace)
    return answer(found)


@bp.post(f"{WORKSPACE}/unfreeze", responses={200: WorkspaceDetail})
def unfreeze_workspace(path: WorkspacePath) -> Response:
    """Unfreeze a workspace, and let the runs that waited go on."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        freezing.unfreeze(tx, workspace)
        found = _detail(tx, workspace)
    return answer(found)


@bp.get(f"{WORKSPACE}/contents", responses={200: Contents})
def get_workspace_contents(path: WorkspacePath) -> Response:
    """How much would be deleted with a workspace."""
    with reading() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        found = deleting.contents(tx, workspace)
    return answer(Contents.model_validate(found))


@bp.delete(WORKSPACE, responses={204: None, **problems(409, 423)})
def delete_workspace(path: WorkspacePath, query: Deletion) -> Response:
    """Delete a workspace with its variables and aliases.

    The records of its runs are deleted only with `with_runs`, a state that is neither empty nor
    deleted only with `with_state`. Otherwise the answer is 409 and says how many there are
    (`workspace-has-runs`, `state-exists`, `rescued-undecided`).
    """
    agreed = deleting.Agreed(runs=query.with_runs, state=query.with_state)
    with transaction() as tx:
        deleting.delete(tx, workspaces.named(tx, path.project, path.workspace), agreed)
    return Response(status=204)


def _detail(tx: Transaction, workspace: WorkspaceRow) -> WorkspaceDetail:
    found = overviews.of_workspace(tx, workspace.project, workspace)
    return WorkspaceDetail(
        **Workspace.model_validate(workspace).model_dump(),
        is_default=found.is_default,
        state=shown_state(found.state),
        addresses=_addresses(workspace.project, workspace),
        lock=shown_lock(found.lock),
        last_run=None if found.last_run is None else summary(found.last_run),
        drift=None if found.drift is None else drift_summary(found.drift),
    )


def _addresses(project: Project, workspace: WorkspaceRow) -> Addresses:
    url = installation().settings.url
    found = addresses.of_workspace(url, project.name, workspace.name)
    snippets = Snippets(**asdict(addresses.snippets(found)))
    return Addresses(**asdict(found), username=addresses.USERNAME, snippets=snippets)
