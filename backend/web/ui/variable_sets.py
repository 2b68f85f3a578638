"""Variable sets of a project: their variables, and the workspaces that choose them."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects, variable_sets, variables
from backend.paging import MAX_LIMIT
from backend.web.api.new_workspace import NewVariable, VariableChange
from backend.web.api.variable_sets import NewVariableSet, VariableSetChange
from backend.web.api.variables import just_set
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("variable-sets")
AT = "/projects/<project>/variable-sets"
SET = f"{AT}/<variable_set>"
VARIABLE = f"{SET}/variables/<set_variable>"


@bp.get(AT)
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = variable_sets.find_all(tx, at, request.args.get("cursor"))
        counts = variable_sets.find_counts(tx, at, found.items)
        return page("variable_sets/variable_sets.html", at, found=found, counts=counts)


@bp.post(AT)
def create(project: str) -> ResponseReturnValue:
    body = forms.read(NewVariableSet)
    with transaction() as tx:
        at = projects.named(tx, project)
        made = variable_sets.create(tx, at, body.name, body.description)
    say(f"The variable set {made.name} is there. Add its variables.")
    return redirect(f"/projects/{project}/variable-sets/{made.name}", 303)


@bp.get(SET)
def show(project: str, variable_set: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        found = variable_sets.get(tx, at, variable_set)
        inside = variables.find_all(tx, found, request.args.get("cursor"), MAX_LIMIT)
        users, items = variable_sets.find_users(tx, found), list(map(just_set, inside.items))
        cursor, name = inside.next_cursor, "variable_sets/variable_set.html"
        return page(name, at, chosen=found, items=items, cursor=cursor, users=users)


@bp.post(SET)
def update(project: str, variable_set: str) -> ResponseReturnValue:
    changes = forms.read(VariableSetChange, forms.filled("description")).given()
    with transaction() as tx:
        found = variable_sets.named(tx, project, variable_set)
        variable_sets.update(tx, found, changes)  # type: ignore[arg-type]  # the model knows
    say(f"The variable set {found.name} is changed.")
    return redirect(f"/projects/{project}/variable-sets/{found.name}", 303)


@bp.post(f"{SET}/delete")
def delete(project: str, variable_set: str) -> ResponseReturnValue:
    with transaction() as tx:
        variable_sets.delete(tx, variable_sets.named(tx, project, variable_set))
    say(f"The variable set {variable_set} is deleted, with its variables.")
    return redirect(f"/projects/{project}/variable-sets", 303)


@bp.post(f"{SET}/variables")
def create_variable(project: str, variable_set: str) -> ResponseReturnValue:
    body = forms.read(NewVariable)
    with transaction() as tx:
        made = variables.create(tx, variable_sets.named(tx, project, variable_set), body.new())
        say(f"The variable {made.name} is set. The next runs get it.")
    return redirect(f"/projects/{project}/variable-sets/{variable_set}", 303)


@bp.get(VARIABLE)
def show_variable(project: str, variable_set: str, set_variable: str) -> ResponseReturnValue:
    with reading() as tx:
        at = projects.named(tx, project)
        chosen = variable_sets.get(tx, at, variable_set)
        found = just_set(variables.get(tx, chosen, set_variable))
        return page("variable_sets/variable.html", at, chosen=chosen, variable=found)


@bp.post(VARIABLE)
def update_variable(project: str, variable_set: str, set_variable: str) -> ResponseReturnValue:
    fields = forms.read(VariableChange).fields()
    if forms.checked("keep"):
        fields.pop("value", None)
    with transaction() as tx:
        chosen = variable_sets.named(tx, project, variable_set)
        made = variables.update(tx, chosen, set_variable, fields)
        say(f"The variable {made.name} is changed. The next runs get it.")
    return redirect(f"/projects/{project}/variable-sets/{variable_set}", 303)


@bp.post(f"{VARIABLE}/delete")
def delete_variable(project: str, variable_set: str, set_variable: str) -> ResponseReturnValue:
    with transaction() as tx:
        variables.delete(tx, variable_sets.named(tx, project, variable_set), set_variable)
    say("The variable is deleted. The next runs do not get it.")
    return redirect(f"/projects/{project}/variable-sets/{variable_set}", 303)
