from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from backend.catalogue import projects, variables
from backend.models import Variable as VariableRow
from backend.models import Workspace
from backend.states import workspaces
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
    Page,
    Repeatable,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.api.locks import WorkspacePath
from backend.web.current import installation, principal, reading, transaction

bp = blueprint("variables", "What a workspace gives to terraform, or to its environment")

WORKSPACE = "/projects/<project>/workspaces/<workspace>"
Value = Annotated[str, Field(max_length=variables.MAX_VALUE_BYTES, pattern=r"^[^\x00]*$")]


class VariablePath(WorkspacePath):
    variable: str = Field(description="The variable's id, or `kind/name`: `terraform/region`")


class VariableChange(Body):
    value: Value = Field(default_factory=str)
    sensitive: bool = Field(
        default_factory=bool, description="Never shown again, and masked in logs"
    )
    is_expression: bool = Field(
        default_factory=bool, description="terraform only: the value is HCL, not a string"
    )


class VariableToPut(VariableChange):
    value: Value


class NewVariable(VariableToPut):
    kind: Literal["terraform", "environment"] = "terraform"
    name: str = Field(min_length=1, max_length=255)


class Variable(Answer):
    id: str
    kind: Literal["terraform", "environment"]
    name: str
    value: str | None = Field(description="Null when it is sensitive")
    sensitive: bool
    is_expression: bool
    created_at: datetime


class Variables(Page[Variable]):
    pass


def create_in(db: Session, workspace: Workspace, new: NewVariable) -> VariableRow:
    given = new.given()
    kind, name = given.pop("kind", "terraform"), given.pop("name")
    return variables.create(
        db, principal(), installation().keyring, workspace,
        kind=kind, name=name, fields=given,  # type: ignore[arg-type]  # the model has these fields
    )  # fmt: skip


@bp.get(f"{WORKSPACE}/variables", responses={200: Variables})
def list_variables(path: WorkspacePath, query: Cursor) -> Response:
    """The variables of a workspace; the values of sensitive ones are null."""
    with reading() as db:
        workspace = _workspace(db, path, "runs:read")
        found = variables.find_all(db, workspace, query.cursor, query.limit)
    items = [_shown(variable) for variable in found.items]
    return answer(Variables(items=items, next_cursor=found.next_cursor))


@bp.post(f"{WORKSPACE}/variables", responses={201: Variable, **WITH_BODY, **problems(409)})
def create_variable(path: WorkspacePath, header: Repeatable, body: NewVariable) -> Response:
    """Add a variable."""
    with transaction() as db:
        workspace = _workspace(db, path, "templates:manage")
        variable = once(
            db,
            header,
            lambda: create_in(db, workspace, body),
            lambda made: variables.get(db, workspace, made),
        )
    return answer(_shown(variable), 201)


@bp.get(f"{WORKSPACE}/variables/<path:variable>", responses={200: Variable})
def get_variable(path: VariablePath) -> Response:
    """One variable; the value of a sensitive one is null."""
    with reading() as db:
        variable = variables.get(db, _workspace(db, path, "runs:read"), path.variable)
    return answer(_shown(variable))


@bp.put(
    f"{WORKSPACE}/variables/<path:variable>",
    responses={200: Variable, **WITH_BODY, **problems(409)},
)
def put_variable(path: VariablePath, body: VariableToPut) -> Response:
    """Set a variable as a whole. A `kind/name` that is not there is created."""
    with transaction() as db:
        variable = variables.put(
            db, principal(), installation().keyring, _workspace(db, path, "templates:manage"),
            reference=path.variable, fields=body.given(),  # type: ignore[arg-type]  # as above
        )  # fmt: skip
    return answer(_shown(variable))


@bp.patch(f"{WORKSPACE}/variables/<path:variable>", responses={200: Variable, **WITH_BODY})
def update_variable(path: VariablePath, body: VariableChange) -> Response:
    """Change some of a variable. A sensitive one stays so, unless it gets a new value."""
    with transaction() as db:
        workspace = _workspace(db, path, "templates:manage")
        variable = variables.update(
            db, principal(), installation().keyring, workspace,
            variable=variables.get(db, workspace, path.variable),
            changes=body.given(),  # type: ignore[arg-type]  # as above
        )  # fmt: skip
    return answer(_shown(variable))


@bp.delete(f"{WORKSPACE}/variables/<path:variable>", responses={204: None})
def delete_variable(path: VariablePath) -> Response:
    """Delete a variable."""
    with transaction() as db:
        workspace = _workspace(db, path, "templates:manage")
        variable = variables.get(db, workspace, path.variable)
        variables.delete(db, principal(), workspace, variable)
    return Response(status=204)


def _workspace(db: Session, path: WorkspacePath, scope: str) -> Workspace:
    project = projects.get(db, principal(), path.project, scope)
    return workspaces.get(db, project, path.workspace)


def _shown(variable: VariableRow) -> Variable:
    value = variables.shown(installation().keyring, variable)
    fields = ("id", "kind", "name", "sensitive", "is_expression", "created_at")
    return Variable(value=value, **{name: getattr(variable, name) for name in fields})
