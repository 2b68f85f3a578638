"""Workspaces: the list, a new one, the first page of one, and what was changed outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from flask import redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from backend.catalogue import keys, projects, templates, variable_sets
from backend.models import Project
from backend.paging import MAX_LIMIT
from backend.runs import drifts, glances, history
from backend.runs.glances import Sign, Wanted
from backend.states import addresses, workspaces
from backend.transactions import Transaction
from backend.web.api import locks
from backend.web.api.drift import detail
from backend.web.api.workspaces import NewWorkspace
from backend.web.current import installation, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.onces import once

bp = pages("workspaces")
WORKSPACE = "/projects/<project>/workspaces/<workspace>"
SHOWN_RUNS = 6


@bp.get("/projects/<project>/workspaces")
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        where = projects.get(tx, project)
        found = glances.find_all(tx, where, _wanted(), request.args.get("cursor"))
        known = templates.find_all(tx, where, limit=MAX_LIMIT).items
        return page("workspaces/workspaces.html", where, found=found, templates=known)


@bp.get("/projects/<project>/workspaces/new")
def begin(project: str) -> ResponseReturnValue:
    with reading() as tx:
        where = projects.get(tx, project)
        tx.require("templates:manage", where.id)
        return page("workspaces/new.html", where, **choices(tx, where))


@bp.post("/projects/<project>/workspaces")
def create(project: str) -> ResponseReturnValue:
    body = forms.read(NewWorkspace, _filled(request.form))
    with transaction() as tx:
        where = projects.named(tx, project)
        made = once(
            tx,
            lambda: workspaces.create(tx, where, body.new(), body.template),
            lambda before: workspaces.in_project(tx.db, where, before),
        )
        say(f"The workspace {made.name} is there, with an empty state.")
        return redirect(f"/projects/{where.name}/workspaces/{made.name}", 303)


@bp.get(WORKSPACE)
def show(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        found = addresses.of_workspace(installation().settings.url, project, workspace)
        return page(
            "workspaces/workspace.html", glance.project, glance=glance,
            runs=history.newest(tx, glance.workspace, SHOWN_RUNS),
            lock=locks.shown(glance.lock), snippets=addresses.snippets(found),
        )  # fmt: skip


@bp.get(f"{WORKSPACE}/drift")
def show_drift(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        found = detail(drifts.get(tx, glance.workspace)) if glance.drift else None
        return page("workspaces/drift.html", glance.project, glance=glance, drift=found)


def _wanted() -> Wanted:
    given: Mapping[str, str] = request.args
    signs = [sign for sign in get_args(Sign) if given.get(sign)]
    return Wanted(given.get("q", "").strip(), given.get("template", "").strip(), signs)


def choices(tx: Transaction, project: Project) -> dict[str, list[str]]:
    """What the forms of workspaces offer, by name. Keys are shown to those who manage keys."""
    found = templates.find_all(tx, project, limit=MAX_LIMIT).items
    sets = variable_sets.find_all(tx, project, limit=MAX_LIMIT).items
    may_see_keys = tx.principal.may("keys:manage", project.id)
    stored = keys.find_all(tx, project, limit=MAX_LIMIT).items if may_see_keys else []
    return {
        "templates": [one.name for one in found],
        "sets": [one.name for one in sets],
        "ssh_keys": [one.name for one in stored if one.kind == "ssh"],
    }


def _filled(form: MultiDict[str, str]) -> MultiDict[str, str]:
    """The form without rows of variables that have neither a name nor a value."""
    names = (name.split(".") for name in form if name.startswith("variables."))
    empty = {
        row
        for _, row, *_rest in names
        if not form.get(f"variables.{row}.name") and not form.get(f"variables.{row}.value")
    }
    kept = [
        (name, value)
        for name, value in form.items(multi=True)
        if not name.startswith("variables.") or name.split(".")[1] not in empty
    ]
    return MultiDict(kept)
