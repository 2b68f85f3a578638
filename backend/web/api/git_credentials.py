from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field

from backend.catalogue import git_credentials, projects
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
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
from backend.web.current import reading, transaction

bp = blueprint(
    "git-credentials", "Stored keys for the repositories that modules and submodules come from"
)


class GitCredentialPath(ProjectPath):
    credential: str = Field(max_length=40, pattern=r"^[^\x00]*$", description="Its id")


class NewGitCredential(Body):
    prefix: str = Field(
        min_length=1,
        max_length=git_credentials.MAX_LENGTH,
        description="What the key opens: HOST, HOST:PORT or HOST/PATH, with everything below it. "
        "The longest prefix wins",
    )
    key: Reference = Field(description="An SSH key, or a username with a password or token")
    workspace: Reference | None = Field(
        None, description="Only for runs of this workspace; null: for all of the project"
    )


class GitCredential(Answer):
    id: str
    prefix: str
    key: Named
    workspace: Named | None
    created_at: datetime


class GitCredentials(Page[GitCredential]):
    pass


@bp.get("/projects/<project>/git-credentials", responses={200: GitCredentials})
def list_git_credentials(path: ProjectPath, query: Cursor) -> Response:
    """The git credentials of a project and of its workspaces, without their secrets."""
    with reading() as tx:
        project = projects.named(tx, path.project)
        found = git_credentials.find_all(tx, project, query.cursor, query.limit)
    return answer(GitCredentials.model_validate(found))


@bp.post(
    "/projects/<project>/git-credentials",
    responses={201: GitCredential, **WITH_BODY, **problems(409)},
)
def create_git_credential(
    path: ProjectPath, header: Repeatable, body: NewGitCredential
) -> Response:
    """Let runs open the repositories below a prefix: those of modules and submodules.

    The repository of a template is opened by the template's own key, which opens nothing else. A
    password of a whole host is also its token for module registries (`TF_TOKEN_…`), during init.
    """
    with transaction() as tx:
        project = projects.named(tx, path.project)
        made = once(
            tx,
            header,
            lambda: git_credentials.create(
                tx, project, prefix=body.prefix, key=body.key, workspace=body.workspace
            ),
            lambda known: git_credentials.named(tx.db, project, known),
        )
    return answer(GitCredential.model_validate(made), 201)


@bp.delete("/projects/<project>/git-credentials/<credential>", responses={204: None})
def delete_git_credential(path: GitCredentialPath) -> Response:
    """Delete a git credential. Its key stays."""
    with transaction() as tx:
        git_credentials.delete(tx, projects.named(tx, path.project), path.credential)
    return Response(status=204)
