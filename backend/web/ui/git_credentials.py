"""Git credentials of a project: which stored key opens the repositories of modules."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import git_credentials, keys, projects
from backend.paging import MAX_LIMIT
from backend.web.api.git_credentials import NewGitCredential
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("git-credentials")
AT = "/projects/<project>/git-credentials"


@bp.get(AT)
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = git_credentials.find_all(tx, at, request.args.get("cursor"))
        known = keys.find_all(tx, at, limit=MAX_LIMIT).items
        names = [(key.name, key.name) for key in known if key.kind != "none"]
        return page("git_credentials/git_credentials.html", at, found=found, keys=names)


@bp.post(AT)
def create(project: str) -> ResponseReturnValue:
    body = forms.read(NewGitCredential)
    with transaction() as tx:
        at = projects.named(tx, project)
        made = git_credentials.create(
            tx, at, prefix=body.prefix, key=body.key, workspace=body.workspace
        )
    say(f"Runs open {made.prefix} with the key {made.key.name} from now on.")
    return redirect(f"/projects/{project}/git-credentials", 303)


@bp.post(f"{AT}/<credential>/delete")
def delete(project: str, credential: str) -> ResponseReturnValue:
    with transaction() as tx:
        git_credentials.delete(tx, projects.named(tx, project), credential)
    say("The git credential is deleted. Its key stays.")
    return redirect(f"/projects/{project}/git-credentials", 303)
