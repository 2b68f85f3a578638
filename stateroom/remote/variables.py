from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from client.api import Api, Item, RequestRefused, path
from stateroom import secret_files
from stateroom.groups import group
from stateroom.options import changes, connected, in_workspace, in_workspace_or_set, limited
from stateroom.tables import Columns, Show

TYPES = ("string", "number", "bool", "hcl", "file")
LIST: Columns = {
    "name": "name",
    "kind": "kind",
    "value": "value",
    "sensitive": "sensitive",
    "fault": "fault.code",
    "type": "type",
    "id": "id",
    "made": "created_at",
}


EFFECTIVE: Columns = {
    "name": "name",
    "kind": "kind",
    "value": "value",
    "type": "type",
    "sensitive": "sensitive",
    "of": lambda found: _source(found["source"]),
    "hides": lambda found: [_source(hidden) for hidden in found["hides"]],
    "fault": "fault.code",
}


def _source(source: Item) -> str:
    return f"{source['kind']}:{source['name']}" if source["name"] else str(source["kind"])


def _named(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command `kind` and `name`: what a variable is known by."""
    option = click.option(
        "--environment", "kind", flag_value="environment", default="terraform",
        help="It is an environment variable, not a terraform variable.",
    )  # fmt: skip
    of_the_backend = click.option(
        "--backend-config", "kind", flag_value="backend_config",
        help="It completes the backend block of the sources, as -backend-config does.",
    )  # fmt: skip
    return click.argument("name")(of_the_backend(option(command)))


@group("variables")
def command() -> None:
    """Variables of a workspace or a set: for terraform, its environment, or its backend block."""


@command.command("list")
@in_workspace_or_set
@connected
@limited()
def list_variables(api: Api, show: Show, *, owner: str) -> None:
    """List the variables of a workspace or a set. The values of sensitive ones are never shown."""
    show.rows(api.items(f"{owner}/variables"), LIST)


@command.command("effective")
@click.option("--run", help="The id of a run, whose own variables count too.")
@in_workspace
@connected
@limited()
def list_effective(api: Api, show: Show, *, workspace: str, run: str | None) -> None:
    """List what a run of a workspace gets: which value of each variable counts, and from where.

    A set wins over those before it, the workspace over its sets, and a run over the workspace.
    """
    found = api.get(f"{workspace}/variables/effective", run=run)
    show.rows(found["items"], EFFECTIVE)


@command.command("set")
@_named
@click.argument("value", required=False)
@secret_files.option("--value-file", "Read the value from this file (- for standard input).")
@click.option(
    "--sensitive/--not-sensitive",
    default=None,
    help="Whether the value is hidden from now on, and masked in logs.",
)
@click.option(
    "--type",
    type=click.Choice(TYPES),
    help="What the value is. hcl: an expression, such as a list. file: a run finds the value in a "
    "file, and the variable is its path.",
)
@click.option("--expression", "type", flag_value="hcl", help="The same as --type hcl.")
@click.option("--string", "type", flag_value="string", help="The same as --type string.")
@in_workspace_or_set
@connected
def set_variable(  # noqa: PLR0913 a variable's fields
    api: Api,
    show: Show,
    *,
    owner: str,
    kind: str,
    name: str,
    value: str | None,
    value_file: Path | None,
    type: str | None,  # noqa: A002 click's name of the option
    sensitive: bool | None,
) -> None:
    """Create or change a variable. Without VALUE and --value-file, the value is asked for.

    Options that are not given leave an existing variable as it is: a sensitive one stays sensitive.
    """
    where = owner + path("variables", kind, name)
    kept = type
    if type is None and value_file is not None:
        kept = _type_of(api, where)
    given = _value(value, value_file, value_type=kept, is_secret=sensitive)
    found = _stored(api, where, changes({"value": given, "type": type, "sensitive": sensitive}))
    show.item(found, LIST)
    for warning in found["warnings"]:
        show.note(f"Warning: {warning}")


@command.command("delete")
@_named
@in_workspace_or_set
@connected
def delete_variable(api: Api, show: Show, *, owner: str, kind: str, name: str) -> None:
    """Delete a variable of a workspace or a set."""
    api.delete(owner + path("variables", kind, name))
    show.note(f"The variable {name} is deleted.")


def _stored(api: Api, where: str, fields: dict[str, object]) -> Item:
    """Change the variable, or create it if there is none."""
    try:
        return api.patch(where, fields)
    except RequestRefused as refusal:
        if refusal.status != 404:
            raise
        return api.put(where, fields)


def _type_of(api: Api, where: str) -> str | None:
    """The type of the variable, or None if there is none, or who asks may not read it."""
    try:
        found: str = api.get(where)["type"]
    except RequestRefused as refusal:
        if refusal.status not in (403, 404):
            raise
        return None
    return found


def _value(
    value: str | None, file: Path | None, *, value_type: str | None, is_secret: bool | None
) -> str:
    """Raises UsageError."""
    if value is not None and file is not None:
        raise click.UsageError("Give VALUE, or --value-file.")
    if value is not None and is_secret:
        raise click.UsageError(
            "Others see a command's arguments: give a sensitive value by --value-file, or be asked."
        )
    if file is not None:
        return (secret_files.content if value_type == "file" else secret_files.read)(file)
    if value is not None:
        return value
    asked: str = click.prompt("Value", hide_input=True, err=True)
    return asked
