"""Settings of a workspace: what its runs use, retention, freezing, and its danger zone."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.errors import Invalid
from backend.runs import glances
from backend.states import archive, deleting, freezing, retention, states, trash, workspaces
from backend.web.api.workspaces import Freezing, WorkspaceChange
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.workspaces import WORKSPACE, choices

bp = pages("workspace-settings")
SETTINGS = f"{WORKSPACE}/settings"
STATE_CHANGES = {
    "delete": (trash.delete, "The state is deleted: its address answers 410. It can be restored."),
    "undelete": (trash.undelete, "The state is back as it was."),
    "purge": (trash.purge, "Everything that was kept of the state is gone."),
    "unarchive": (archive.unarchive, "The state is open here again."),
}


@bp.get(SETTINGS)
def show(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        may_change = tx.principal.may("templates:manage", glance.project.id)
        return page(
            "workspaces/settings.html", glance.project, glance=glance, settings=tx.settings,
            chosen=[one.name for one in glance.workspace.variable_sets],
            **(choices(tx, glance.project) if may_change else {}),
        )  # fmt: skip


@bp.post(SETTINGS)
def change(project: str, workspace: str) -> ResponseReturnValue:
    """Change what the form that was sent has; each of them has some of the settings."""
    form = request.form.copy()
    if not form.get("template"):
        form.poplist("template")
    body = forms.read(WorkspaceChange, form)
    with transaction() as tx:
        found = workspaces.named(tx, project, workspace)
        workspaces.update(tx, found, **body.given())
        say("The settings are changed.")
        return redirect(f"/projects/{project}/workspaces/{found.name}/settings", 303)


@bp.get(f"{WORKSPACE}/retention")
def show_retention(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        due = retention.due(tx, glance.state)
        return page(
            "workspaces/retention.html", glance.project, glance=glance, settings=tx.settings,
            due=due, most=retention.BATCH,
        )  # fmt: skip


@bp.post(f"{SETTINGS}/default")
def make_default(project: str, workspace: str) -> ResponseReturnValue:
    with transaction() as tx:
        found = workspaces.named(tx, project, workspace)
        projects.update(tx, found.project, default_workspace=found.id)
    say("It is the default workspace of the project now.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/settings", 303)


@bp.post(f"{SETTINGS}/freeze")
def freeze(project: str, workspace: str) -> ResponseReturnValue:
    body = forms.read(Freezing)
    with transaction() as tx:
        freezing.freeze(tx, workspaces.named(tx, project, workspace), body.reason)
    say("The workspace is frozen: nobody locks or writes its state, or queues a run.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/settings", 303)


@bp.post(f"{SETTINGS}/unfreeze")
def unfreeze(project: str, workspace: str) -> ResponseReturnValue:
    with transaction() as tx:
        freezing.unfreeze(tx, workspaces.named(tx, project, workspace))
    say("The workspace is not frozen any more. Runs that waited go on.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/settings", 303)


@bp.post(f"{SETTINGS}/state")
def change_state(project: str, workspace: str) -> ResponseReturnValue:
    """Delete the state, restore it, remove it for good, or open it here again."""
    what = forms.text("what")
    if what not in STATE_CHANGES:
        raise Invalid("Say what to do with the state.", code="invalid-request")
    if what != "undelete":
        forms.typed(workspace)
    change_it, said = STATE_CHANGES[what]
    with transaction() as tx:
        change_it(tx, states.named(tx, project, workspace))
    say(said)
    return redirect(f"/projects/{project}/workspaces/{workspace}/settings", 303)


@bp.get(f"{WORKSPACE}/delete")
def ask_to_delete(project: str, workspace: str) -> ResponseReturnValue:
    """What would go with the workspace, and the question."""
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        tx.require("templates:manage", glance.project.id)
        contents = deleting.contents(tx, glance.workspace)
        return page("workspaces/delete.html", glance.project, glance=glance, contents=contents)


@bp.post(f"{WORKSPACE}/delete")
def delete(project: str, workspace: str) -> ResponseReturnValue:
    forms.typed(workspace)
    agreed = deleting.Agreed(runs=forms.checked("with_runs"), state=forms.checked("with_state"))
    with transaction() as tx:
        deleting.delete(tx, workspaces.named(tx, project, workspace), agreed)
    say(f"The workspace {workspace} is deleted.")
    return redirect(f"/projects/{project}/workspaces", 303)
