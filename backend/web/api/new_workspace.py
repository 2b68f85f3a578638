"""The bodies that describe new workspaces and variables, which several routes use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backend.catalogue import variable_sets, variable_types, variables
from backend.states import workspaces
from backend.web.api.answers import Body, Name, Reference

VariableKind = Literal["terraform", "environment", "backend_config"]
ValueType = Literal["string", "number", "bool", "hcl", "file"]
Value = Annotated[str, Field(max_length=variable_types.MAX_VALUE_BYTES, pattern=r"^[^\x00]*$")]


class VariableChange(Body):
    value: Value = Field(default_factory=str)
    sensitive: bool = Field(
        default_factory=bool, description="The value is never shown, and masked in logs"
    )
    type: ValueType = Field(
        default_factory=lambda: "string",
        description="What the value is. hcl: an expression, not for the environment. file: a run "
        "finds the value in a file that no other run can read, and the variable is its path; not "
        "for backend_config",
    )
    is_expression: bool = Field(
        default_factory=bool,
        description="From before there were types: true is the type hcl",
        json_schema_extra={"deprecated": True},
    )

    def fields(self) -> variables.Fields:
        """The fields that were sent, without the kind and name of the variable."""
        given = self.given()
        names = ("value", "sensitive", "type", "is_expression")
        return {name: given[name] for name in names if name in given}  # type: ignore[return-value]  # mypy knows no name in it


class VariableToPut(VariableChange):
    value: Value


class NewVariable(VariableToPut):
    kind: VariableKind = Field(
        "terraform",
        description="backend_config: an argument of the backend block of the sources, which is "
        "passed by -backend-config when a run uses that backend",
    )
    name: str = Field(min_length=1, max_length=255)

    def new(self) -> variables.NewVariable:
        return variables.NewVariable(self.kind, self.name, self.fields())


FilesOfRepository = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=1000)]], Field(max_length=50)
]


ChosenSets = Annotated[
    list[Reference],
    Field(
        max_length=variable_sets.MOST_CHOSEN,
        description="The variable sets that its runs get, by name or id. A later one wins, and the "
        "workspace's own variables win over all",
    ),
]


class TemplateWorkspace(Body):
    name: Name = Field(
        default_factory=str, description="Default: the template's name, with a number if taken"
    )
    module_key: Reference | None = Field(None, description="An SSH key for private modules")
    variables: list[NewVariable] = Field(default_factory=list, max_length=200)
    variable_sets: ChosenSets = Field(default_factory=list)

    def new(self) -> workspaces.NewWorkspace:
        given = self.given()
        return workspaces.NewWorkspace(
            given.get("name"),
            given.get("module_key"),
            [one.new() for one in self.variables],
            self.variable_sets,
        )
