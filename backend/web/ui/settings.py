"""The settings of a project: its names, its quotas, and its end."""

from __future__ import annotations

from flask import redirect
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.catalogue.projects import QUOTAS
from backend.web.api.projects import ProjectChange
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("settings")
AT = "/projects/<project>/settings"


@bp.get(AT)
def show(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        inside, use = projects.contents(tx, at), projects.use(tx, at)
        return page("settings/settings.html", at, inside=inside, use=use)


@bp.post(AT)
def update(project: str) -> ResponseReturnValue:
    body = forms.read(ProjectChange, forms.filled("description", "default_workspace", *QUOTAS))
    with transaction() as tx:
        at = projects.named(tx, project)
        projects.update(tx, at, **body.given())
        name = at.name
    say("The settings are saved.")
    return redirect(f"/projects/{name}/settings", 303)


@bp.post(f"{AT}/delete")
def delete(project: str) -> ResponseReturnValue:
    with transaction() as tx:
        at = projects.named(tx, project)
        forms.typed(at.name)
        projects.delete(tx, at)
    say(f"The project {project} is deleted.")
    return redirect("/projects", 303)
