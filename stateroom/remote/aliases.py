from __future__ import annotations

from typing import Any

import click

from client.api import Api, path
from stateroom.completing import argument, names
from stateroom.groups import group
from stateroom.options import connected, in_workspace, limited, snippet_for
from stateroom.tables import Show

LIST = {
    "name": "name",
    "access": "access",
    "key": "key.name",
    "expires": "expires_at",
    "last used": "last_used_at",
    "revoked": "revoked_at",
    "fault": "fault.code",
    "address": "address",
}
DETAIL = LIST | {"username": "username", "id": "id", "made by": "created_by", "made": "created_at"}


@group("aliases")
def command() -> None:
    """Addresses of a state for laptops and other systems, each with a login of its own."""


@command.command("list")
@in_workspace
@connected
@limited()
def list_aliases(api: Api, show: Show, *, workspace: str) -> None:
    """List the aliases of a workspace, also revoked and expired ones."""
    show.rows(api.items(f"{workspace}/aliases"), LIST)


@command.command("create")
@click.argument("name")
@click.option(
    "--access", type=click.Choice(["read-only", "read-write"]), required=True,
    help="Whether it may only read the state, or lock and write it too.",
)  # fmt: skip
@click.option(
    "--key",
    shell_complete=names("keys"),
    help="Use the username and password of this stored key as the login.",
)
@click.option("--expires-in-days", type=click.IntRange(1), help="When it expires. Default: never.")
@snippet_for
@in_workspace
@connected
def create_alias(api: Api, show: Show, *, workspace: str, tool: str, **alias: Any) -> None:
    """Create an alias and print its configuration to paste. The password is shown only now."""
    made = api.post(f"{workspace}/aliases", alias)
    show.text(made, made["snippets"][tool])
    if made["password"] is None:
        show.note(f"The password is that of the key {made['key']['name']}: put it in its place.")
    else:
        show.note("The password is shown this once. Keep it out of files that others see.")


@command.command("show")
@argument("alias")
@snippet_for
@in_workspace
@connected
def show_alias(api: Api, show: Show, *, workspace: str, alias: str, tool: str) -> None:
    """Show an alias and its configuration to paste, without the password, which is not stored."""
    found = api.get(workspace + path("aliases", alias))
    show.item(found, DETAIL, found["snippets"][tool])


@command.command("revoke")
@argument("alias")
@in_workspace
@connected
def revoke_alias(api: Api, show: Show, *, workspace: str, alias: str) -> None:
    """Revoke an alias: from now on its address refuses everybody."""
    api.delete(workspace + path("aliases", alias))
    show.note(f"The alias {alias} is revoked.")
