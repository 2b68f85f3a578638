from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field

from backend.catalogue import projects, variable_sets, variables
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
    Name,
    Page,
    ProjectPath,
    Repeatable,
    Text,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.new_workspace import NewVariable, VariableChange, VariableToPut
from backend.web.api.variables import SetVariable, Variable, Variables, just_set, shown
from backend.web.current import reading, transaction

bp = blueprint("variable-sets", "Sets of variables, which several workspaces of a project choose")

SET = "/projects/<project>/variable-sets/<variable_set>"


class SetPath(ProjectPath):
    variable_set: str = Field(description="The set's name or id")


class SetVariablePath(SetPath):
    variable: str = Field(description="The variable's id, or `kind/name`: `terraform/region`")


class VariableSetChange(Body):
    name: Name = Field(default_factory=str)
    description: Text = Field(default_factory=str)


class NewVariableSet(Body):
    name: Name
    description: Text = Field("")


class VariableSet(Answer):
    id: str
    name: str
    description: str
    created_at: datetime


class VariableSets(Page[VariableSet]):
    pass


@bp.get("/projects/<project>/variable-sets", responses={200: VariableSets})
def list_variable_sets(path: ProjectPath, query: Cursor) -> Response:
    """The variable sets of a project."""
    with reading() as tx:
        project = projects.named(tx, path.project)
        found = variable_sets.find_all(tx, project, query.cursor, query.limit)
    return answer(VariableSets.model_validate(found))


@bp.post(
    "/projects/<project>/variable-sets",
    responses={201: VariableSet, **WITH_BODY, **problems(409)},
)
def create_variable_set(path: ProjectPath, header: Repeatable, body: NewVariableSet) -> Response:
    """Create an empty variable set. A workspace gets it by its `variable_sets`."""
    with transaction() as tx:
        project = projects.named(tx, path.project)
        made = once(
            tx,
            header,
            lambda: variable_sets.create(tx, project, body.name, body.description),
            lambda made: variable_sets.in_project(tx.db, project, made),
        )
    return answer(VariableSet.model_validate(made), 201)


@bp.get(SET, responses={200: VariableSet})
def get_variable_set(path: SetPath) -> Response:
    """One variable set."""
    with reading() as tx:
        found = variable_sets.get(tx, projects.named(tx, path.project), path.variable_set)
    return answer(VariableSet.model_validate(found))


@bp.patch(SET, responses={200: VariableSet, **WITH_BODY, **problems(409)})
def update_variable_set(path: SetPath, body: VariableSetChange) -> Response:
    """Change the name or the description of a variable set."""
    with transaction() as tx:
        found = variable_sets.named(tx, path.project, path.variable_set)
        variable_sets.update(tx, found, body.given())  # type: ignore[arg-type]  # the model knows
    return answer(VariableSet.model_validate(found))


@bp.delete(SET, responses={204: None, **problems(409)})
def delete_variable_set(path: SetPath) -> Response:
    """Delete a variable set that no workspace uses, with its variables."""
    with transaction() as tx:
        variable_sets.delete(tx, variable_sets.named(tx, path.project, path.variable_set))
    return Response(status=204)


@bp.get(f"{SET}/variables", responses={200: Variables})
def list_variables_of_set(path: SetPath, query: Cursor) -> Response:
    """The variables of a set; the values of sensitive ones are null."""
    with reading() as tx:
        owner = variable_sets.named(tx, path.project, path.variable_set)
        found = variables.find_all(tx, owner, query.cursor, query.limit)
    items = [shown(variable) for variable in found.items]
    return answer(Variables(items=items, next_cursor=found.next_cursor))


@bp.post(f"{SET}/variables", responses={201: SetVariable, **WITH_BODY, **problems(409)})
def create_variable_of_set(path: SetPath, header: Repeatable, body: NewVariable) -> Response:
    """Add a variable to a set."""
    with transaction() as tx:
        owner = variable_sets.named(tx, path.project, path.variable_set)
        variable = once(
            tx,
            header,
            lambda: variables.create(tx, owner, body.new()),
            lambda made: variables.named(tx.db, owner, made),
        )
    return answer(just_set(variable), 201)


@bp.get(f"{SET}/variables/<path:variable>", responses={200: Variable})
def get_variable_of_set(path: SetVariablePath) -> Response:
    """One variable of a set; the value of a sensitive one is null."""
    with reading() as tx:
        owner = variable_sets.named(tx, path.project, path.variable_set)
        variable = variables.get(tx, owner, path.variable)
    return answer(shown(variable))


@bp.put(
    f"{SET}/variables/<path:variable>",
    responses={200: SetVariable, **WITH_BODY, **problems(409)},
)
def put_variable_of_set(path: SetVariablePath, body: VariableToPut) -> Response:
    """Replace a variable of a set, or create it if no variable has this `kind/name`."""
    with transaction() as tx:
        owner = variable_sets.named(tx, path.project, path.variable_set)
        variable = variables.put(tx, owner, path.variable, body.fields())
    return answer(just_set(variable))


@bp.patch(f"{SET}/variables/<path:variable>", responses={200: SetVariable, **WITH_BODY})
def update_variable_of_set(path: SetVariablePath, body: VariableChange) -> Response:
    """Change some fields of a variable. A sensitive one stays so unless it gets a new value."""
    with transaction() as tx:
        owner = variable_sets.named(tx, path.project, path.variable_set)
        variable = variables.update(tx, owner, path.variable, body.fields())
    return answer(just_set(variable))


@bp.delete(f"{SET}/variables/<path:variable>", responses={204: None})
def delete_variable_of_set(path: SetVariablePath) -> Response:
    """Delete a variable of a set."""
    with transaction() as tx:
        owner = variable_sets.named(tx, path.project, path.variable_set)
        variables.delete(tx, owner, path.variable)
    return Response(status=204)
