"""Templates: what to run. Repository, ref, path, tool, and how to configure the backend."""

from __future__ import annotations

import re
from typing import TypedDict, Unpack

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import audit, names
from backend.catalogue import keys, sources, survey
from backend.catalogue.rules import Rules
from backend.catalogue.survey import Question
from backend.errors import Conflict, Invalid, NotFound
from backend.models import DEFAULT_QUEUE, Key, Project, Template, Workspace
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.transactions import Transaction

RESERVED = ("new", "preview")  # …/templates/new is the page of the form
TOOLS = ("terraform", "tofu")
# programs that run the tool and tell it where its state is: the runner finds them
WRAPPERS = ("terragrunt", "terraspace", "terramate", "cdktf", "atmos")

_CONFIGURATION = re.compile(r"[^./~#-][^/\\]{0,200}\.(tf|tofu)(\.json)?")


class Fields(TypedDict, total=False):
    name: str | None
    repository: str
    ref: str | None
    path: str
    tool: str
    tool_version: str | None
    backend_mode: str
    override_file: str | None
    submodules: bool
    lfs: bool
    ignored_wrappers: list[str]
    allowed_refs: list[str]
    secrets_for_pull_requests: bool
    survey: list[Question]
    free_variables: bool
    variable_files: list[str]
    backend_config_files: list[str]
    rules: Rules
    timeouts: dict[str, int]
    auto_approve: str
    queue: str
    key: str | None


def create(tx: Transaction, project: Project, **fields: Unpack[Fields]) -> Template:
    """Create a template. Its default name is that of the repository, with a number if it is taken.

    A key with a password needs keys:manage too. Raises Invalid, Conflict, Forbidden.
    """
    template = unsaved(tx, project, **fields)
    if fields.get("name") is None:
        template.name = _name_of(tx.db, template)
    names.store(tx.db, template, "template")
    audit.record(
        tx, "template.create", template.id, project_id=project.id,
        name=template.name, repository=template.repository,
    )  # fmt: skip
    return template


def unsaved(tx: Transaction, project: Project, **fields: Unpack[Fields]) -> Template:
    """A template as `create` would store it, which is stored nowhere; it may have no name.

    Raises what `create` raises for fields that are wrong.
    """
    tx.require("templates:manage", project.id)
    template = Template(
        project_id=project.id, path=".", tool="terraform", backend_mode="auto", key=None,
        submodules=False, lfs=False, auto_approve="never", queue=DEFAULT_QUEUE,
        free_variables=False, ignored_wrappers=[], survey=[], variable_files=[],
        backend_config_files=[], timeouts={},
    )  # fmt: skip
    _assign(tx, project, template, fields)
    return template


def get(tx: Transaction, project: Project, reference: str) -> Template:
    """One template of the project. Raises NotFound."""
    tx.require("runs:read", project.id)
    return named(tx.db, project, reference)


def named(db: Session, project: Project, reference: str) -> Template:
    found = db.scalars(
        select(Template).where(Template.project_id == project.id, names.called(Template, reference))
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no template {reference!r} in the project {project.name!r}.")
    return found


def chosen(db: Session, project: Project, reference: str) -> Template:
    """The template that a request names. Raises Invalid: a wrong reference is a wrong request."""
    try:
        return named(db, project, reference)
    except NotFound as error:
        raise Invalid(error.message, code="no-template") from None


def find_all(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Template]:
    """The templates of a project."""
    tx.require("runs:read", project.id)
    query = select(Template).where(Template.project_id == project.id)
    return page(tx.db, query, Template.id, after, limit)


def update(
    tx: Transaction, project: Project, reference: str, **changes: Unpack[Fields]
) -> Template:
    """Change a template. Runs that are claimed later use the new values.

    Raises NotFound, and what `create` raises.
    """
    tx.require("templates:manage", project.id)
    template = named(tx.db, project, reference)
    _assign(tx, project, template, changes)
    names.store(tx.db, template, "template")
    audit.record(
        tx, "template.update", template.id, project_id=project.id,
        fields=sorted(changes), rules=template.rules if "rules" in changes else None,
    )  # fmt: skip
    return template


def delete(tx: Transaction, project: Project, reference: str) -> None:
    """Delete a template. Raises NotFound, and Conflict that names the workspaces that use it."""
    tx.require("templates:manage", project.id)
    template, db = named(tx.db, project, reference), tx.db
    db.refresh(template, with_for_update={"of": Template})
    used = list(db.scalars(select(Workspace.name).where(Workspace.template_id == template.id)))
    if used:
        raise Conflict(
            f"The template is used by the workspaces {', '.join(used)}. Delete them first.",
            code="template-in-use",
            workspaces=used,
        )
    db.delete(template)
    audit.record(
        tx, "template.delete", template.id, project_id=template.project_id,
        name=template.name,
    )  # fmt: skip


def _assign(tx: Transaction, project: Project, template: Template, fields: Fields) -> None:
    if "key" in fields:
        template.key = keys.chosen(tx.db, project, fields["key"])
    name = fields.get("name")
    if name is not None and name != template.name:
        template.name = names.check(name, RESERVED)
    if "repository" in fields:
        tx.here.check_repository(fields["repository"])
        template.repository = fields["repository"]
    if "ref" in fields:
        template.ref = sources.check_ref(fields["ref"])
    if "allowed_refs" in fields:
        template.allowed_refs = sources.check_ref_patterns(fields["allowed_refs"])
    if "secrets_for_pull_requests" in fields:
        template.secrets_for_pull_requests = fields["secrets_for_pull_requests"]
    if "rules" in fields:
        template.rules = fields["rules"].as_written()
    if "path" in fields:
        template.path = sources.check_path(fields["path"])
    template.auto_approve = fields.get("auto_approve", template.auto_approve)
    template.queue = fields.get("queue", template.queue)
    template.submodules = fields.get("submodules", template.submodules)
    template.lfs = fields.get("lfs", template.lfs)
    if template.key is not None and not {"key", "repository"}.isdisjoint(fields):
        _guard(tx, template.key)
    most = tx.settings.run_timeout_seconds
    template.timeouts = _within(fields.get("timeouts", template.timeouts), most)
    _assign_tool(tx, template, fields)
    _assign_variables(template, fields)


def _within(timeouts: dict[str, int], most: float) -> dict[str, int]:
    for step, seconds in timeouts.items():
        if step != "total" and seconds > most:
            raise Invalid(
                f"The step {step} may take {most:g} seconds at most, which is the installation's "
                "STATEROOM_RUN_TIMEOUT_SECONDS.",
                code="timeout-too-long",
                field="timeouts",
            )
    return timeouts


def _assign_variables(template: Template, fields: Fields) -> None:
    if "survey" in fields:
        template.survey = survey.check(fields["survey"])
    template.free_variables = fields.get("free_variables", template.free_variables)
    if "variable_files" in fields:
        files = sources.check_files(fields["variable_files"], "variable_files")
        template.variable_files = files
    if "backend_config_files" in fields:
        files = sources.check_files(fields["backend_config_files"], "backend_config_files")
        template.backend_config_files = files


def _guard(tx: Transaction, key: Key) -> None:
    """Require keys:manage for a key with a password: runs send it to the template's repository."""
    if key.kind == "password":
        tx.require("keys:manage", key.project_id)


def _assign_tool(tx: Transaction, template: Template, fields: Fields) -> None:
    if "tool" in fields:
        template.tool = fields["tool"]
    if "tool_version" in fields:
        if fields["tool_version"] is not None:
            tx.here.check_tool_version(fields["tool_version"])
        template.tool_version = fields["tool_version"]
    if "backend_mode" in fields:
        template.backend_mode = fields["backend_mode"]
    if "override_file" in fields:
        template.override_file = _override_file(fields["override_file"])
    if "ignored_wrappers" in fields:
        template.ignored_wrappers = _wrappers(fields["ignored_wrappers"])


def _wrappers(given: list[str]) -> list[str]:
    if unknown := sorted(set(given).difference(WRAPPERS)):
        raise Invalid(
            f"There is no wrapper {unknown[0]!r}: it is one of {', '.join(WRAPPERS)}.",
            code="wrapper-invalid",
        )
    return [name for name in WRAPPERS if name in given]


def _override_file(name: str | None) -> str | None:
    if name is not None and not (_CONFIGURATION.fullmatch(name) and name.isprintable()):
        raise Invalid(
            f"{name!r} cannot be the override file: give a file name without folders that ends "
            "with .tf, .tofu, .tf.json or .tofu.json, for example zz_backend_override.tf.",
            code="override-file-invalid",
        )
    return name


def _name_of(db: Session, template: Template) -> str:
    wish = names.made_of(sources.last_part(template.repository)) or "template"
    taken = db.scalars(select(Template.name).where(Template.project_id == template.project_id))
    return names.check(names.free(wish, [*taken, *RESERVED]))
