from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from flask import Response
from pydantic import Field

from backend.catalogue import effective, projects, run_variables, variables
from backend.models import Variable as VariableRow
from backend.runs import queue
from backend.states import workspaces
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Answer,
    Cursor,
    Page,
    Query,
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
    ValueType,
    VariableChange,
    VariableKind,
    VariableToPut,
)
from backend.web.api.run_answers import RunPath
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
    type: ValueType
    is_expression: bool = Field(description="Whether the type is hcl")
    created_at: datetime


class SetVariable(Variable):
    warnings: list[str] = Field(
        description="Where the value cannot do what is hoped, such as one that is too short to be "
        "hidden in a log"
    )


class Variables(Page[Variable]):
    pass


class RunVariables(Answer):
    items: list[Variable]


class OfRun(Query):
    run: str | None = Field(
        None, max_length=40, description="The id of a run, whose own variables count too"
    )


class Source(Answer):
    kind: Literal["template", "set", "workspace", "survey", "run"] = Field(
        description="template: a default of its survey; survey: an answer to it; run: another "
        "variable that the run was given"
    )
    name: str | None = Field(description="Of a set")


class EffectiveVariable(Sealed):
    kind: VariableKind
    name: str
    value: str | None = Field(description="Null if it is sensitive, or cannot be opened")
    type: ValueType
    sensitive: bool
    source: Source = Field(description="Where the value comes from")
    hides: list[Source] = Field(
        description="Where other values of it are, which do not count; the strongest first"
    )


class EffectiveVariables(Answer):
    items: list[EffectiveVariable]


@bp.get(f"{WORKSPACE}/variables", responses={200: Variables})
def list_variables(path: WorkspacePath, query: Cursor) -> Response:
    """The variables of a workspace; the values of sensitive ones are null.

    One whose value does not open is listed with its fault.
    """
    with reading() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        found = variables.find_all(tx, workspace, query.cursor, query.limit)
    items = [shown(variable) for variable in found.items]
    return answer(Variables(items=items, next_cursor=found.next_cursor))


@bp.get(f"{WORKSPACE}/variables/effective", responses={200: EffectiveVariables})
def list_effective_variables(path: WorkspacePath, query: OfRun) -> Response:
    """The variables that a run of the workspace gets, each with its source and what that hides.

    A later one of these wins: the defaults of the survey, the sets of the workspace in their order,
    the workspace, the run.
    """
    with reading() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        run = None
        if query.run is not None:
            run = queue.of_workspace(tx, workspace, query.run)
        found = effective.find_all(tx, workspace, run)
    return answer(EffectiveVariables(items=[effective_shown(winner) for winner in found]))


@bp.get("/projects/<project>/runs/<run>/variables", responses={200: RunVariables})
def list_run_variables(path: RunPath) -> Response:
    """The variables that a run was given when it was queued; those of sensitive ones are null."""
    with reading() as tx:
        run = queue.get(tx, projects.named(tx, path.project), path.run)
        found = run_variables.find_all(tx, run)
    return answer(RunVariables(items=[shown(variable) for variable in found]))


@bp.post(f"{WORKSPACE}/variables", responses={201: SetVariable, **WITH_BODY, **problems(409)})
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
    return answer(just_set(variable), 201)


@bp.get(f"{WORKSPACE}/variables/<path:variable>", responses={200: Variable})
def get_variable(path: VariablePath) -> Response:
    """One variable; the value of a sensitive one is null."""
    with reading() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = variables.get(tx, workspace, path.variable)
    return answer(shown(variable))


@bp.put(
    f"{WORKSPACE}/variables/<path:variable>",
    responses={200: SetVariable, **WITH_BODY, **problems(409)},
)
def put_variable(path: VariablePath, body: VariableToPut) -> Response:
    """Replace a variable, or create it if no variable has this `kind/name`."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = variables.put(tx, workspace, path.variable, body.fields())
    return answer(just_set(variable))


@bp.patch(f"{WORKSPACE}/variables/<path:variable>", responses={200: SetVariable, **WITH_BODY})
def update_variable(path: VariablePath, body: VariableChange) -> Response:
    """Change some fields of a variable. A sensitive one stays so unless it gets a new value."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variable = variables.update(tx, workspace, path.variable, body.fields())
    return answer(just_set(variable))


@bp.delete(f"{WORKSPACE}/variables/<path:variable>", responses={204: None})
def delete_variable(path: VariablePath) -> Response:
    """Delete a variable."""
    with transaction() as tx:
        workspace = workspaces.named(tx, path.project, path.workspace)
        variables.delete(tx, workspace, path.variable)
    return Response(status=204)


def shown(variable: VariableRow) -> Variable:
    return with_fault(Variable, variable, **_facts(variable))


def just_set(variable: VariableRow) -> SetVariable:
    """A variable that was just set."""
    warnings = variables.warnings(installation().keyring, variable)
    return with_fault(SetVariable, variable, **_facts(variable), warnings=warnings)


def effective_shown(winner: effective.Winner) -> EffectiveVariable:
    keyring = installation().keyring
    fault, value = effective.fault(keyring, winner), effective.shown(keyring, winner)
    return with_fault(EffectiveVariable, winner, fault, value=value, hides=list(winner.hides))


def _facts(variable: VariableRow) -> dict[str, Any]:
    keyring = installation().keyring
    return {
        "fault": variables.fault(keyring, variable),
        "value": variables.shown(keyring, variable),
        "type": variable.value_type,
    }
