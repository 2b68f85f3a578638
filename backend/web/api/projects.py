from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field

from backend import projects
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
from backend.web.current import principal, reading, transaction

bp = blueprint("projects", "What people belong to and everything else belongs to")


class NewProject(Body):
    name: Name
    description: Text = ""
    known_hosts: Text = Field(
        "", description="Host keys of git servers, as ssh-keyscan prints them"
    )
    accept_new_host_keys: bool = Field(
        default=False, description="Trust a git server's key when it is seen for the first time"
    )


class ProjectChange(Body):
    name: Name = Field(default_factory=str)
    description: Text = Field(default_factory=str)
    known_hosts: Text = Field(default_factory=str)
    accept_new_host_keys: bool = Field(default_factory=bool)
    default_workspace: Reference | None = Field(
        None, description="The workspace of a run that names none"
    )


class Project(Answer):
    id: str
    name: str
    description: str
    known_hosts: str
    accept_new_host_keys: bool
    default_workspace_id: str | None
    created_at: datetime


class Projects(Page[Project]):
    pass


@bp.get("/projects", responses={200: Projects})
def list_projects(query: Cursor) -> Response:
    """The projects that are open to you."""
    with reading() as db:
        found = projects.find_all(db, principal(), query.cursor, query.limit)
    return answer(Projects.model_validate(found))


@bp.post("/projects", responses={201: Project, **WITH_BODY, **problems(409)})
def create_project(header: Repeatable, body: NewProject) -> Response:
    """Create a project: for administrators of the installation."""
    with transaction() as db:
        project = once(
            db,
            header,
            lambda: projects.create(db, principal(), **body.given()),
            lambda made: projects.get(db, principal(), made, "admin"),
        )
    return answer(Project.model_validate(project), 201)


@bp.get("/projects/<project>", responses={200: Project})
def get_project(path: ProjectPath) -> Response:
    """One project."""
    with reading() as db:
        project = projects.get(db, principal(), path.project, "runs:read")
    return answer(Project.model_validate(project))


@bp.patch("/projects/<project>", responses={200: Project, **WITH_BODY, **problems(409)})
def update_project(path: ProjectPath, body: ProjectChange) -> Response:
    """Change a project. A new name changes the addresses of its states."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "admin")
        projects.update(db, principal(), project, **body.given())
    return answer(Project.model_validate(project))


@bp.delete("/projects/<project>", responses={204: None, **problems(409)})
def delete_project(path: ProjectPath) -> Response:
    """Delete a project that holds no templates and no states, with its keys and tokens."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "admin")
        projects.delete(db, principal(), project)
    return Response(status=204)
