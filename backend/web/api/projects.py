from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field

from backend.catalogue import projects
from backend.models import Project as ProjectRow
from backend.transactions import Transaction
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
    Name,
    Page,
    ProjectPath,
    Reference,
    Repeatable,
    Text,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.current import reading, transaction

bp = blueprint("projects", "People are members of projects, and everything else belongs to one")


class NewProject(Body):
    name: Name
    description: Text = ""
    known_hosts: Text = Field(
        "", description="Host keys of git servers, as ssh-keyscan prints them"
    )
    accept_new_host_keys: bool = Field(
        default=False, description="Trust the key of a git server when a run first sees it"
    )


class ProjectChange(Body):
    name: Name = Field(default_factory=str)
    description: Text = Field(default_factory=str)
    known_hosts: Text = Field(default_factory=str)
    accept_new_host_keys: bool = Field(default_factory=bool)
    default_workspace: Reference | None = Field(
        None, description="The workspace for runs that do not name one"
    )
    max_states: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Quota: states; null: none. Only administrators of the installation set quotas",
    )
    max_versions: int | None = Field(
        None, ge=1, le=1_000_000, description="Quota: kept versions of each state, also pinned ones"
    )
    max_state_bytes: int | None = Field(
        None, ge=1, le=2**50, description="Quota: the size of a version, in bytes"
    )
    max_runs: int | None = Field(
        None, ge=1, le=10_000, description="Quota: runs at work at once; the others wait"
    )


class Project(Answer):
    id: str
    name: str
    description: str
    known_hosts: str
    accept_new_host_keys: bool
    default_workspace_id: str | None
    max_states: int | None = Field(description="How many states it may have; null: any number")
    max_versions: int | None = Field(description="How many versions of each state it may keep")
    max_state_bytes: int | None = Field(description="How large a version may be, in bytes")
    max_runs: int | None = Field(description="How many of its runs may be at work at once")
    created_at: datetime


class Use(Answer):
    """How much of the quotas is used."""

    states: int
    pinned_versions: int = Field(description="Pinned versions of the state that has most of them")
    state_bytes: int = Field(description="The size of the largest current version, in bytes")


class ProjectDetail(Project):
    use: Use


class Projects(Page[Project]):
    pass


@bp.get("/projects", responses={200: Projects})
def list_projects(query: Cursor) -> Response:
    """The projects that you may see."""
    with reading() as tx:
        found = projects.find_all(tx, query.cursor, query.limit)
    return answer(Projects.model_validate(found))


@bp.post("/projects", responses={201: ProjectDetail, **WITH_BODY, **problems(409)})
def create_project(header: Repeatable, body: NewProject) -> Response:
    """Create a project. For administrators of the installation."""
    with transaction() as tx:
        project = once(
            tx,
            header,
            lambda: projects.create(tx, **body.given()),
            lambda made: projects.named(tx, made),
        )
        found = _detail(tx, project)
    return answer(found, 201)


@bp.get("/projects/<project>", responses={200: ProjectDetail})
def get_project(path: ProjectPath) -> Response:
    """One project."""
    with reading() as tx:
        found = _detail(tx, projects.get(tx, path.project))
    return answer(found)


@bp.patch("/projects/<project>", responses={200: ProjectDetail, **WITH_BODY, **problems(409)})
def update_project(path: ProjectPath, body: ProjectChange) -> Response:
    """Change a project. A new name changes the addresses of its states.

    Only administrators of the installation can change quotas.
    """
    with transaction() as tx:
        project = projects.named(tx, path.project)
        projects.update(tx, project, **body.given())
        found = _detail(tx, project)
    return answer(found)


@bp.delete("/projects/<project>", responses={204: None, **problems(409)})
def delete_project(path: ProjectPath) -> Response:
    """Delete a project without templates and states, and its keys and tokens."""
    with transaction() as tx:
        projects.delete(tx, projects.named(tx, path.project))
    return Response(status=204)


def _detail(tx: Transaction, project: ProjectRow) -> ProjectDetail:
    return ProjectDetail(
        **Project.model_validate(project).model_dump(),
        use=Use.model_validate(projects.use(tx, project)),
    )
