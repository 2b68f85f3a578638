from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field

from backend.catalogue import variables
from backend.models import Variable as VariableRow
from backend.states import workspaces
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Cursor,
    Page,
    Repeatable,
    Sealed,
    WorkspacePath,
    answer,
    blueprint,
    once,
    problems,
    with_fault,
)
from backend.web.api.new_workspace import (
    NewVariable,
    VariableChange,
    VariableKind,
    VariableToPut,
)
from backend.web.current import installation, reading, transaction

bp = blueprint(
    "variables", "Variables of a workspace: for terraform, its environment, or its backend"
)


class VariablePath(WorkspacePath):
    variable: str = Field(description="The variable's id, or `kind/name`: `terraform/region`")


class Variable(Sealed):
    id: str
    kind: VariableKind
    name: str
    value: str | None = Field(description="Null if it is sensitive, or cannot be opened")
    sensitive: bool
    is_expression: bool
    created_at: datetime


class Variables(Page[Variable]):
    pass


@bp.get(f"{WORKSPACE}/variables", responses={200: Variables})
def list_variables(path: WorkspacePath, query: Cursor) -> Response:
    """The variables of a workspace; the values of sensitive ones are null.

    One whose value does not open is listed with its fault.
    """
    with reading() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        found = variables.find_all(tx, workspace, query.cursor, query.limit)
    items = [_shown(variable) for variable in found.items]
    return answer(Variables(items=items, next_cursor=found.next_cursor))


@bp.post(f"{WORKSPACE}/variables", responses={201: Variable, **WITH_BODY, **problems(409)})
def create_variable(path: WorkspacePath, header: Repeatable, body: NewVariable) -> Response:
    """Add a variable."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = once(
            tx,
            header,
            lambda: variables.create(tx, workspace, body.new()),
            lambda made: variables.named(tx.db, workspace, made),
        )
    return answer(_shown(variable), 201)


@bp.get(f"{WORKSPACE}/variables/<path:variable>", responses={200: Variable})
def get_variable(path: VariablePath) -> Response:
    """One variable; the value of a sensitive one is null."""
    with reading() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = variables.get(tx, workspace, path.variable)
    return answer(_shown(variable))


@bp.put(
    f"{WORKSPACE}/variables/<path:variable>",
    responses={200: Variable, **WITH_BODY, **problems(409)},
)
def put_variable(path: VariablePath, body: VariableToPut) -> Response:
    """Replace a variable, or create it if no variable has this `kind/name`."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = variables.put(tx, workspace, path.variable, body.fields())
    return answer(_shown(variable))


@bp.patch(f"{WORKSPACE}/variables/<path:variable>", responses={200: Variable, **WITH_BODY})
def update_variable(path: VariablePath, body: VariableChange) -> Response:
    """Change some fields of a variable. A sensitive one stays so unless it gets a new value."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = variables.update(tx, workspace, path.variable, body.fields())
    return answer(_shown(variable))


@bp.delete(f"{WORKSPACE}/variables/<path:variable>", responses={204: None})
def delete_variable(path: VariablePath) -> Response:
    """Delete a variable."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variables.delete(tx, workspace, path.variable)
    return Response(status=204)


def _shown(variable: VariableRow) -> Variable:
    keyring = installation().keyring
    value = variables.shown(keyring, variable)
    return with_fault(Variable, variable, variables.fault(keyring, variable), value=value)
