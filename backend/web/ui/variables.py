"""Variables of a workspace: what its runs get, from where, and those of its own."""

from __future__ import annotations

from flask import redirect
from flask.typing import ResponseReturnValue

from backend.catalogue import effective
from backend.catalogue import variables as kept
from backend.catalogue.effective import Winner
from backend.models import Variable
from backend.runs import glances
from backend.states import workspaces
from backend.web.api import variables
from backend.web.api.new_workspace import NewVariable, VariableChange
from backend.web.current import installation, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.workspaces import WORKSPACE

bp = pages("variables")
VARIABLES = f"{WORKSPACE}/variables"


@bp.get(VARIABLES)
def show_all(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        found = effective.find_all(tx, glance.workspace)
        return page(
            "workspaces/variables.html", glance.project, glance=glance,
            found=[_shown(winner) for winner in found],
            sets=[one.name for one in glance.workspace.variable_sets],
        )  # fmt: skip


@bp.post(VARIABLES)
def create(project: str, workspace: str) -> ResponseReturnValue:
    body = forms.read(NewVariable)
    with transaction() as tx:
        made = kept.create(tx, workspaces.named(tx, project, workspace), body.new())
        say(f"The variable {made.name} is set. The next run gets it.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/variables", 303)


@bp.get(f"{VARIABLES}/<variable>")
def show(project: str, workspace: str, variable: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        found = variables.just_set(kept.get(tx, glance.workspace, variable))
        return page("workspaces/variable.html", glance.project, glance=glance, variable=found)


@bp.post(f"{VARIABLES}/<variable>")
def update(project: str, workspace: str, variable: str) -> ResponseReturnValue:
    fields = forms.read(VariableChange).fields()
    if forms.checked("keep"):
        fields.pop("value", None)
    with transaction() as tx:
        made = kept.update(tx, workspaces.named(tx, project, workspace), variable, fields)
        say(f"The variable {made.name} is changed. The next run gets it.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/variables", 303)


@bp.post(f"{VARIABLES}/<variable>/delete")
def delete(project: str, workspace: str, variable: str) -> ResponseReturnValue:
    with transaction() as tx:
        kept.delete(tx, workspaces.named(tx, project, workspace), variable)
    say("The variable is deleted. The next run does not get it.")
    return redirect(f"/projects/{project}/workspaces/{workspace}/variables", 303)


def _shown(winner: Winner) -> dict[str, object]:
    """A value that counts, with the id and the warnings of one of the workspace itself."""
    own = winner.kept if isinstance(winner.kept, Variable) else None
    if winner.source.kind != "workspace":
        own = None
    return {
        "variable": variables.effective_shown(winner),
        "id": None if own is None else own.id,
        "warnings": [] if own is None else kept.warnings(installation().keyring, own),
    }
