"""Projects: the list, and a new one."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.web.api.projects import NewProject
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("projects")


@bp.get("/projects")
def show_all() -> ResponseReturnValue:
    with reading() as tx:
        found = projects.find_all(tx, request.args.get("cursor"))
        return page("projects/projects.html", found=found)


@bp.post("/projects")
def create() -> ResponseReturnValue:
    body = forms.read(NewProject)
    with transaction() as tx:
        project = projects.create(tx, **body.given())
    say(f"The project {project.name} is there.")
    return redirect(f"/projects/{project.name}", 303)
