from __future__ import annotations

from typing import Annotated, Any

from flask import Response
from pydantic import Field

from backend.catalogue import templates as catalogue
from backend.runs import previewing
from backend.runs.previewing import Preview
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Name,
    ProjectPath,
    Reference,
    answer,
    blueprint,
    problems,
)
from backend.web.api.new_workspace import FilesOfRepository
from backend.web.api.templates import BackendMode, ToolName, Wrapper
from backend.web.current import caller

bp = blueprint("previews", "What a run of a template would find and inject")


class Wanted(Body):
    """Fields of a template, as in it."""

    repository: str = Field(min_length=1, max_length=2000)
    key: Reference | None = Field(None, description="The key that opens the repository")
    ref: str | None = Field(None, max_length=255)
    path: Annotated[str, Field(max_length=1000)] = "."
    tool: ToolName = "terraform"
    tool_version: str | None = Field(None, max_length=200)
    backend_mode: BackendMode = "auto"
    override_file: str | None = Field(None, max_length=210)
    ignored_wrappers: list[Wrapper] = Field(default_factory=list, max_length=10)
    variable_files: FilesOfRepository = Field(default_factory=list)
    submodules: bool = False
    lfs: bool = False
    workspace: Name | None = Field(
        None, description="The workspace whose address would be injected; it need not exist"
    )

    def fields(self) -> catalogue.Fields:
        """The fields of the template."""
        given = self.given()
        given.pop("workspace", None)
        return given  # type: ignore[return-value]  # the model has these fields


class Detection(Answer):
    verdict: str = Field(description="`none`, `empty`, `backend:s3`, `cloud`, `wrapper:atmos` …")
    explicit: bool = Field(description="Whether the sources say where their state is")
    file: str | None
    line: int | None
    why: str
    wrapper: str | None = Field(description="The program that runs the tool in this folder")


class OverrideFile(Answer):
    name: str
    text: str


class Requirement(Answer):
    text: str | None = Field(description="null: an expression, which only the tool can read")
    where: str


class DeclaredVariable(Answer):
    name: str
    type: str | None = Field(description="As it is written")
    required: bool = Field(description="It has no default")
    default: str | None = Field(description="As it is written; null for a sensitive one too")
    description: str
    sensitive: bool
    where: str
    is_set: bool = Field(description="A variable file of the repository sets it")


class SourceProblem(Answer):
    code: str
    message: str
    facts: dict[str, Any] = Field(
        description="What the next step needs: the `place` of a host, `folders` of the repository"
    )


class Tool(Answer):
    name: ToolName
    asked: str | None = Field(description="What decides about the version; null: nothing does")
    version: str | None = Field(
        description="The one that would run, of those that the workers have; null: not known yet"
    )
    available: list[str] = Field(description="The versions of the workers, the newest first")
    warning: str | None


class PreviewAnswer(Answer):
    commit: str | None
    subject: str
    author: str
    detection: Detection | None
    inject: bool = Field(description="Whether a run would write `override`, so that we keep state")
    override: OverrideFile | None
    tool: Tool
    requirements: list[Requirement] = Field(description="Versions that the sources ask for")
    variables: list[DeclaredVariable]
    warnings: list[str]
    problem: SourceProblem | None = Field(
        description="What would stop a run; null: a run can begin"
    )
    refs: list[str] = Field(description="Branches and tags like the one that is missing")


@bp.post(
    "/projects/<project>/templates/preview",
    responses={200: PreviewAnswer, **WITH_BODY, **problems(409)},
)
def preview_template(path: ProjectPath, body: Wanted) -> Response:
    """Look at the sources of a template before there is one: what a run would find and inject.

    The server fetches them, with the key, and executes nothing of them. It takes 30 seconds at
    most. A second request of the same person ends the first one, which is refused with
    `superseded`.
    """
    found = previewing.preview(caller(), path.project, body.workspace, **body.fields())
    return answer(shown(found))


def shown(preview: Preview) -> PreviewAnswer:
    found = dict(preview.found)
    found |= {"inject": found["override"] is not None, "tool": preview.tool}
    return PreviewAnswer.model_validate(found)
