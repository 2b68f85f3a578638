"""Versions of a state: the list, one of them, a new one from a file, and what is done with them."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.documents.intake import Incoming
from backend.errors import Invalid
from backend.models import StateVersion
from backend.runs import glances
from backend.states import resources, restoring, states, uploads, versions
from backend.web.api.states import VersionList, shown_version
from backend.web.current import caller, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("versions")
AT = "/projects/<project>/workspaces/<workspace>/versions"
ONE = f"{AT}/<int(min=1, max=999999999):number>"


@bp.get(AT)
def show_all(project: str, workspace: str) -> ResponseReturnValue:
    asked = forms.asked(VersionList)
    find = versions.find_history if asked.removed else versions.find_all
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        states.check(tx.db, glance.state)
        found = find(tx, glance.state, asked.cursor, asked.limit)
        shown = [shown_version(version) for version in found.items]
        return page(
            "states/versions.html", glance.project, glance=glance, versions=shown,
            cursor=found.next_cursor, with_removed=asked.removed,
        )  # fmt: skip


@bp.get(ONE)
def show(project: str, workspace: str, number: int) -> ResponseReturnValue:
    found = resources.summarise(caller(), project, workspace, str(number))
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "states/version.html", glance.project, glance=glance, found=found,
            version=shown_version(found.version),
        )  # fmt: skip


@bp.get(f"{AT}/new")
def ask(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        tx.require("state:write", glance.project.id)
        limit = forms.MAX_FORM_BYTES
        return page("states/upload.html", glance.project, glance=glance, limit=limit)


@bp.post(AT)
def upload(project: str, workspace: str) -> ResponseReturnValue:
    where, document = (project, workspace), _chosen()
    if forms.text("import") == "true":
        made = uploads.import_document(caller(), *where, document)
    else:
        force = request.form.getlist("force")[-1:] == ["true"]
        made = uploads.upload(caller(), *where, document, force=force)
    say(f"Version {made.number} is the newest state, with serial {_serial(made)}.")
    return _to(project, workspace, made.number)


@bp.post(f"{ONE}/restore")
def restore(project: str, workspace: str, number: int) -> ResponseReturnValue:
    made = restoring.restore(caller(), project, workspace, str(number))
    copied = made.restored_from == number
    what = f"a copy of version {number}" if copied else "as it was, and nothing was stored"
    say(f"Version {made.number} is the newest state: {what}.")
    return _to(project, workspace, made.number)


@bp.post(f"{ONE}/pin")
def pin(project: str, workspace: str, number: int) -> ResponseReturnValue:
    with transaction() as tx:
        versions.pin(tx, states.named(tx, project, workspace), str(number))
    say(f"Version {number} is pinned: retention does not remove it.")
    return _to(project, workspace, number)


@bp.post(f"{ONE}/unpin")
def unpin(project: str, workspace: str, number: int) -> ResponseReturnValue:
    with transaction() as tx:
        versions.unpin(tx, states.named(tx, project, workspace), str(number))
    say(f"Version {number} is not pinned any more: retention may remove it.")
    return _to(project, workspace, number)


@bp.post(f"{ONE}/delete")
def delete(project: str, workspace: str, number: int) -> ResponseReturnValue:
    with transaction() as tx:
        versions.delete(tx, states.named(tx, project, workspace), str(number))
    say(f"The content of version {number} is deleted. Who wrote it, and when, stays on record.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/versions?removed=true", 303)


def _to(project: str, workspace: str, number: int) -> ResponseReturnValue:
    return redirect(f"/projects/{project}/workspaces/{workspace}/versions/{number}", 303)


def _chosen() -> Incoming:
    """The file that was sent with the form. Raises Invalid."""
    given = request.files.get("document")
    if given is None or not given.filename:
        raise Invalid(
            "Choose the file with the state.",
            code="document-missing",
            errors=[{"field": "document", "message": "No file was chosen."}],
        )
    return Incoming(given.stream)


def _serial(made: StateVersion) -> str:
    return "none" if made.serial is None else str(made.serial)
