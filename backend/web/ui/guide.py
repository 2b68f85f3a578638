"""The first-run guide: from an empty installation to an applied plan, a page for each step.

Each step makes the real thing, and the address says what has been made: the guide can be left, and
taken up again. What is typed of a repository before its template is made stands in the address too.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import redirect, request
from flask.typing import ResponseReturnValue
from pydantic import Field

from backend.catalogue import keys, projects, templates, variables
from backend.models import Project, Template
from backend.paging import MAX_LIMIT
from backend.runs import queue, template_uses
from backend.runs.queue import NewRun
from backend.states import workspaces
from backend.states.workspaces import NewWorkspace
from backend.transactions import Transaction
from backend.web.api.answers import Body
from backend.web.api.keys import NewKey, read_new
from backend.web.api.new_workspace import NewVariable
from backend.web.api.projects import NewProject
from backend.web.api.templates import NewTemplate, fields
from backend.web.current import reading, transaction
from backend.web.ui import forms, previews
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.onces import once

bp = pages("guide")
AT = "/guide/<project>"
OF_TEMPLATE = f"{AT}/templates/<template>"
TYPED = ("repository", "ref", "path", "tool", "template")  # of a repository, in addresses
MESSAGE = "The first run"


class Answers(Body):
    """The variables that a module needs."""

    variables: list[NewVariable] = Field(default_factory=list, max_length=200)


@bp.get("/guide")
def begin() -> ResponseReturnValue:
    with reading() as tx:
        return page("guide/project.html", found=projects.find_all(tx).items)


@bp.post("/guide")
def make_project() -> ResponseReturnValue:
    body = forms.read(NewProject, forms.filled())
    with transaction() as tx:
        made = once(
            tx,
            lambda: projects.create(tx, **body.given()),
            lambda before: projects.named(tx, before),
        ).name
    return redirect(f"/guide/{made}/repository", 303)


@bp.get(AT)
def go_on(project: str) -> ResponseReturnValue:
    """Where a project stands: without a template at its repository."""
    with reading() as tx:
        at = _managed(tx, project)
        found = templates.find_all(tx, at, limit=MAX_LIMIT).items
        if not found:
            return redirect(f"/guide/{at.name}/repository", 303)
        uses = template_uses.find_all(tx, at, found)
        return page("guide/go_on.html", at, found=found, uses=uses)


@bp.get(f"{AT}/repository")
def ask_repository(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = _managed(tx, project)
        name = request.args.get("template", "")
        one = templates.named(tx.db, at, name) if name else None
        typed = {**_fields_of(one), **_typed(request.args)}
        chosen = request.args.get("key") or (one.key.name if one and one.key else "")
        return page("guide/repository.html", at, typed=typed, chosen=chosen, keys=_keys(tx, at))


@bp.post(f"{AT}/repository")
def use_repository(project: str) -> ResponseReturnValue:
    """Make the template and its workspace, or change the one that was made before."""
    name = forms.text("template")
    body = forms.read(NewTemplate, forms.filled("key", "ref", "path"))
    with transaction() as tx:
        at = projects.named(tx, project)
        if name:
            made = templates.update(tx, at, name, **fields(body))
        else:
            made = once(
                tx,
                lambda: workspaces.create_template(tx, at, NewWorkspace(), **fields(body)),
                lambda before: templates.named(tx.db, at, before),
            )
        there = f"/guide/{at.name}/templates/{made.name}/variables"
    return redirect(there, 303)


@bp.post(f"{AT}/repository/key")
def ask_for_key(project: str) -> ResponseReturnValue:
    """To the step with the key, and back with what was typed."""
    with reading() as tx:
        at = _managed(tx, project)
        return redirect(_address(f"/guide/{at.name}/key", _typed(request.form)), 303)


@bp.get(f"{AT}/key")
def ask_key(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = _managed(tx, project)
        return page("guide/key.html", at, typed=_typed(request.args))


@bp.post(f"{AT}/key")
def store_key(project: str) -> ResponseReturnValue:
    kind, name, secret = read_new(forms.read(NewKey, forms.filled()))
    with transaction() as tx:
        at = projects.named(tx, project)
        made = once(
            tx,
            lambda: keys.create(tx, at, kind=kind, secret=secret, name=name),
            lambda before: keys.named(tx.db, at, before),
        ).name
    typed = _typed(request.form)
    if kind == "ssh":
        return redirect(_address(f"/guide/{project}/key/{made}", typed), 303)
    return redirect(_address(f"/guide/{project}/repository", {**typed, "key": made}), 303)


@bp.get(f"{AT}/key/<key>")
def show_key(project: str, key: str) -> ResponseReturnValue:
    """The public half, for the host of the repository."""
    with reading() as tx:
        at = _managed(tx, project)
        found, typed = keys.get(tx, at, key), _typed(request.args)
        back = _address(f"/guide/{at.name}/repository", {**typed, "key": found.name})
        return page("guide/public.html", at, key=found, typed=typed, back=back)


@bp.get(f"{OF_TEMPLATE}/variables")
def ask_variables(project: str, template: str) -> ResponseReturnValue:
    with reading() as tx:
        at = _managed(tx, project)
        one = templates.named(tx.db, at, template)
        return page("guide/variables.html", at, template=one, fields=_fields_of(one))


@bp.post(f"{OF_TEMPLATE}/needed")
def show_needed(project: str, template: str) -> ResponseReturnValue:
    """The form with the variables that the module needs, as part of the page or as one."""
    with reading() as tx:
        at = _managed(tx, project)
        one = templates.named(tx.db, at, template)
        workspace = workspaces.chosen(tx.db, at, None, one)
        given = {row.name for row in variables.find_all(tx, workspace, limit=MAX_LIMIT).items}
    found = previews.look_with(project, {**_fields_of(one), "key": one.key and one.key.name})
    needed = [v for v in found.variables if v.required and not v.is_set and v.name not in given]
    name = "guide/needed.html" if "HX-Request" in request.headers else "guide/needed_page.html"
    with reading() as tx:
        at = projects.named(tx, project)
        return page(name, at, template=one, found=found, needed=needed, given=given)


@bp.post(f"{OF_TEMPLATE}/variables")
def set_variables(project: str, template: str) -> ResponseReturnValue:
    body = forms.read(Answers)
    with transaction() as tx:
        at = projects.named(tx, project)
        workspace = workspaces.chosen(tx.db, at, None, templates.named(tx.db, at, template))
        for one in body.variables:
            variables.create(tx, workspace, one.new())
    return redirect(f"/guide/{project}/templates/{template}/plan", 303)


@bp.get(f"{OF_TEMPLATE}/plan")
def ask_to_plan(project: str, template: str) -> ResponseReturnValue:
    with reading() as tx:
        at = _managed(tx, project)
        one = templates.named(tx.db, at, template)
        workspace = workspaces.chosen(tx.db, at, None, one)
        given = variables.find_all(tx, workspace, limit=MAX_LIMIT).items
        return page(
            "guide/plan.html", at, template=one, fields=_fields_of(one), workspace=workspace,
            given=given,
        )  # fmt: skip


@bp.post(f"{OF_TEMPLATE}/plan")
def plan(project: str, template: str) -> ResponseReturnValue:
    with transaction() as tx:
        at = projects.named(tx, project)
        workspace = workspaces.chosen(tx.db, at, None, templates.named(tx.db, at, template))
        run = once(
            tx,
            lambda: queue.queue(tx, workspace, NewRun("apply", message=MESSAGE)),
            lambda before: queue.named(tx.db, at, before),
        ).id
    say("The run is queued. When it has planned, look at the plan, and approve it.")
    return redirect(f"/projects/{project}/runs/{run}", 303)


def _managed(tx: Transaction, project: str) -> Project:
    """The project, for who may make templates in it."""
    found = projects.named(tx, project)
    tx.require("templates:manage", found.id)
    return found


def _keys(tx: Transaction, project: Project) -> list[tuple[str, str]]:
    if not tx.principal.may("keys:manage", project.id):
        return []
    return [(key.name, key.name) for key in keys.find_all(tx, project, limit=MAX_LIMIT).items]


def _fields_of(template: Template | None) -> dict[str, Any]:
    """What was typed of a template's repository."""
    if template is None:
        return {}
    names = ("repository", "ref", "path", "tool", "tool_version")
    return {**{name: getattr(template, name) for name in names}, "template": template.name}


def _typed(given: Any) -> dict[str, str]:
    return {name: given[name] for name in TYPED if given.get(name)}


def _address(path: str, typed: dict[str, str]) -> str:
    return f"{path}?{urlencode(typed)}" if typed else path
