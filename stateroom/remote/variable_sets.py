from __future__ import annotations

from typing import Any

import click

from client.api import Api, path
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import changes, connected, in_project, limited
from stateroom.tables import Columns, Show

LIST: Columns = {
    "name": "name",
    "description": "description",
    "id": "id",
    "made": "created_at",
}


@group("variable-sets")
def command() -> None:
    """Sets of variables, which several workspaces choose.

    `stateroom variables … --set NAME` works with the variables of one; `stateroom workspaces set W
    --variable-set NAME` lets a workspace have it.
    """


@command.command("list")
@in_project
@connected
@limited()
def list_variable_sets(api: Api, show: Show, *, project: str) -> None:
    """List the variable sets of a project."""
    show.rows(api.items(f"{project}/variable-sets"), LIST)


@command.command("create")
@click.argument("name")
@click.option("--description", help="What is in it, and for whom.")
@in_project
@connected
def create_variable_set(api: Api, show: Show, *, project: str, **given: Any) -> None:
    """Create an empty variable set."""
    show.item(api.post(f"{project}/variable-sets", changes(given)), LIST)


@command.command("show")
@argument("variable_set")
@in_project
@connected
def show_variable_set(api: Api, show: Show, *, project: str, variable_set: str) -> None:
    """Show a variable set; its variables are listed by `stateroom variables list --set`."""
    show.item(api.get(project + path("variable-sets", variable_set)), LIST)


@command.command("set")
@argument("variable_set")
@click.option("--name", help="Its new name.")
@click.option("--description", help="What is in it, and for whom.")
@in_project
@connected
def change_variable_set(
    api: Api, show: Show, *, project: str, variable_set: str, **given: Any
) -> None:
    """Change the name or the description of a variable set."""
    show.item(api.patch(project + path("variable-sets", variable_set), changes(given)), LIST)


@command.command("delete")
@argument("variable_set")
@in_project
@connected
def delete_variable_set(api: Api, show: Show, *, project: str, variable_set: str) -> None:
    """Delete a variable set and its variables. It is refused while a workspace has it."""
    api.delete(project + path("variable-sets", variable_set))
    show.note(f"The variable set {variable_set} is deleted.")
