from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Response
from pydantic import Field, StringConstraints

from backend.catalogue import projects, survey, templates
from backend.catalogue.rules import Rules
from backend.setting_values import LABEL
from backend.states import workspaces
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
    Text,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.new_workspace import FilesOfRepository, TemplateWorkspace
from backend.web.current import reading, transaction

bp = blueprint("templates", "What to run: repository, branch or tag, path, tool, backend mode")

ToolName = Literal["terraform", "tofu"]
BackendMode = Literal["auto", "override", "off"]
Label = Annotated[str, StringConstraints(pattern=f"^{LABEL}$")]
TimedStep = Literal["clone", "init", "plan", "apply", "total"]
AutoApprove = Literal["never", "unless_destroys", "always"]
Wrapper = Literal["terragrunt", "terraspace", "terramate", "cdktf", "atmos"]


class TemplatePath(ProjectPath):
    template: str = Field(description="The template's name or id")


class Question(Body):
    """One variable that is asked for when a run is queued."""

    name: str = Field(min_length=1, max_length=255)
    kind: Literal["terraform", "environment"] = "terraform"
    title: str = Field("", max_length=200, description="The question itself; default: the name")
    description: Text = Field("")
    type: Literal["string", "number", "bool", "choice", "choices"] = Field(
        "string",
        description="choice: one of `choices`, a string; choices: some of them, a list for "
        'terraform. An answer to that is a list in JSON (`["a", "b"]`), or `a,b`',
    )
    choices: list[Annotated[str, StringConstraints(min_length=1, max_length=1000)]] = Field(
        default_factory=list, max_length=500
    )
    required: bool = Field(
        default=True,
        description="A run needs a value: an answer, the default, or one of the workspace or its "
        "sets",
    )
    default: str | None = Field(
        None, max_length=10_000, description="Counts where nothing else has a value"
    )
    pattern: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="A regular expression (Python's) that the whole of a string has to match",
    )
    sensitive: bool = Field(
        default=False, description="The answer is never shown, and masked in logs"
    )


class TemplateChange(Body):
    name: Name = Field(default_factory=str)
    repository: str = Field(
        default_factory=str,
        min_length=1,
        max_length=2000,
        description="https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, "
        "or a local path that the installation allows",
    )
    ref: str | None = Field(
        None, max_length=255, description="A branch, tag or commit; null: the default branch"
    )
    path: str = Field(
        default_factory=str, max_length=1000, description="The folder inside the repository"
    )
    tool: ToolName = Field(default_factory=lambda: "terraform")
    tool_version: str | None = Field(
        None,
        max_length=200,
        description="Which of the versions on the worker: 1.11.4, 1.11 for any 1.11.x, constraints "
        "as Terraform writes them (`~> 1.9`, `>= 1.8, < 2`), `latest`, or `auto` for what the "
        "sources ask for (`required_version`; for tofu that of `.tofu` files and of "
        "`language { compatible_with { opentofu } }`). The newest that fits runs, and a prerelease "
        "only if it is asked for exactly; without one that fits the run waits. null: the first one "
        "that is found, in the tools folder, then on PATH",
    )
    backend_mode: BackendMode = Field(
        default_factory=lambda: "auto",
        description="When to configure Stateroom as the backend. auto: if the sources configure "
        "none; override: always; off: never",
    )
    override_file: str | None = Field(
        None, max_length=210, description="The name of the generated file; null: chosen for you"
    )
    ignored_wrappers: list[Wrapper] = Field(
        default_factory=list,
        max_length=10,
        description="Wrappers that do not count. A run injects nothing where one of these programs "
        "runs the sources (`wrapper-found`), because it may keep their state elsewhere. Name it "
        "here once its state is imported, or if it has none",
    )
    allowed_refs: list[Annotated[str, StringConstraints(min_length=1, max_length=255)]] = Field(
        default_factory=list,
        max_length=50,
        description="Which refs a run may name beside the template's own. `release/*` are "
        "branches, `refs/tags/v*` tags, `refs/pull/*/head` pull requests; `*` is any text without "
        "a slash, `**` any text; `any` is every ref. A commit may run if an allowed branch or "
        "tag, or the template's own, contains it. Default: only the template's own ref and its "
        "commits",
    )
    secrets_for_pull_requests: bool = Field(
        default=False,
        description="Whether runs of pull requests (every ref that is neither a branch nor a tag) "
        "get the variables that are marked sensitive. Whoever can open a pull request can then "
        "read them",
    )
    timeouts: dict[TimedStep, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="How many seconds a step may take, at most the installation's "
        "STATEROOM_RUN_TIMEOUT_SECONDS, and `total` all steps until the run ends or waits for an "
        "approval, and again all of them after it. Then the tool is interrupted, saves its state, "
        "and the run ends as `errored` with `timed-out`. They replace those of before; {}: none",
    )
    rules: Rules = Field(
        default_factory=Rules,
        description="What a plan may do, who has to look at it, and when it may be applied. They "
        "replace all rules of before; {}: none",
    )
    auto_approve: AutoApprove = Field(
        default_factory=lambda: "never",
        description="Which plans are applied without waiting for an approval: never: none; "
        "unless_destroys: those that neither destroy nor replace anything; always: all. It counts "
        "for runs that somebody queues who may approve them (runs:approve)",
    )
    queue: Label = Field(
        default_factory=lambda: "default",
        description="Its runs are taken by the workers that listen to this queue (`stateroom "
        "worker --queue`)",
    )
    submodules: bool = Field(
        default_factory=bool,
        description="Fetch the submodules that the folder reaches, with git credentials; else a "
        "run that needs one is refused",
    )
    lfs: bool = Field(
        default_factory=bool,
        description="Fetch the files of Git LFS that the folder reaches; else a run that needs one "
        "is refused",
    )
    survey: list[Question] = Field(
        default_factory=list,
        max_length=survey.MOST,
        description="The variables that are asked for when a run is queued",
    )
    free_variables: bool = Field(
        default_factory=bool,
        description="Whether who may queue runs may give them any variable for terraform, beyond "
        "the survey",
    )
    variable_files: FilesOfRepository = Field(
        default_factory=list,
        description="Files of the repository with variables, relative to the template's folder: "
        "`envs/prod.tfvars`. Those of the workspace come after them. "
        "A later one wins, and every variable that is set here wins over all",
    )
    backend_config_files: FilesOfRepository = Field(
        default_factory=list,
        description="Files of the repository that complete the backend block of the sources "
        "(-backend-config). Those of the workspace come after them. "
        "A later one wins, and variables of the kind backend_config over all",
    )
    key: Reference | None = Field(None, description="The key that opens the repository")


class NewTemplate(TemplateChange):
    name: Name = Field(
        default_factory=str,
        description="Default: the last part of the repository, with a number if taken",
    )
    repository: str = Field(min_length=1, max_length=2000)
    workspace: TemplateWorkspace = Field(
        default_factory=TemplateWorkspace, description="Its default workspace"
    )


class Template(Answer):
    id: str
    name: str
    repository: str
    ref: str | None
    path: str
    tool: ToolName
    tool_version: str | None
    backend_mode: BackendMode
    override_file: str | None
    submodules: bool
    lfs: bool
    ignored_wrappers: list[Wrapper]
    allowed_refs: list[str]
    timeouts: dict[str, int]
    auto_approve: AutoApprove
    queue: str
    secrets_for_pull_requests: bool
    survey: list[Question]
    free_variables: bool
    variable_files: list[str]
    backend_config_files: list[str]
    rules: dict[str, Any] = Field(description="As they were written")
    key: Named | None
    default_workspace_id: str | None
    created_at: datetime


class Templates(Page[Template]):
    pass


@bp.get("/projects/<project>/templates", responses={200: Templates})
def list_templates(path: ProjectPath, query: Cursor) -> Response:
    """The templates of a project."""
    with reading() as tx:
        project = projects.named(tx, path.project)
        found = templates.find_all(tx, project, query.cursor, query.limit)
    return answer(Templates.model_validate(found))


@bp.post("/projects/<project>/templates", responses={201: Template, **WITH_BODY, **problems(409)})
def create_template(path: ProjectPath, header: Repeatable, body: NewTemplate) -> Response:
    """Create a template with its default workspace, so that a run can be queued at once."""
    given = fields(body)
    with transaction() as tx:
        project = projects.named(tx, path.project)
        template = once(
            tx,
            header,
            lambda: workspaces.create_template(tx, project, body.workspace.new(), **given),
            lambda made: templates.named(tx.db, project, made),
        )
    return answer(Template.model_validate(template), 201)


@bp.get("/projects/<project>/templates/<template>", responses={200: Template})
def get_template(path: TemplatePath) -> Response:
    """One template."""
    with reading() as tx:
        template = templates.get(tx, projects.named(tx, path.project), path.template)
    return answer(Template.model_validate(template))


@bp.patch(
    "/projects/<project>/templates/<template>",
    responses={200: Template, **WITH_BODY, **problems(409)},
)
def update_template(path: TemplatePath, body: TemplateChange) -> Response:
    """Change a template. Runs that begin later use the new values."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        template = templates.update(tx, project, path.template, **fields(body))
    return answer(Template.model_validate(template))


@bp.delete("/projects/<project>/templates/<template>", responses={204: None, **problems(409)})
def delete_template(path: TemplatePath) -> Response:
    """Delete a template that no workspace uses."""
    with transaction() as tx:
        templates.delete(tx, projects.named(tx, path.project), path.template)
    return Response(status=204)


def fields(body: TemplateChange) -> dict[str, Any]:
    """The fields of the template that were sent, as the operations take them."""
    given = body.given()
    given.pop("workspace", None)
    if "survey" in given:
        given["survey"] = [question.model_dump() for question in body.survey]
    return given
