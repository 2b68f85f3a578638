from __future__ import annotations

from pathlib import Path

import click

from client.api import Api, path
from stateroom import passwords
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import connected, limited
from stateroom.tables import Show

LIST = {
    "name": "name",
    "administrator": "is_admin",
    "password": "has_password",
    "disabled": "disabled_at",
    "last login": "last_login_at",
    "made": "created_at",
    "id": "id",
}


@group("users")
def command() -> None:
    """Users, who sign in with a name and a password. Only administrators manage them."""


@command.command("list")
@connected
@limited()
def list_users(api: Api, show: Show) -> None:
    """List all users."""
    show.rows(api.items("/users"), LIST)


@command.command("create")
@click.argument("name")
@click.option(
    "--admin",
    "is_admin",
    is_flag=True,
    help="Make the user an administrator of the whole installation.",
)
@click.option("--no-password", is_flag=True, help="Set no password: the user cannot sign in yet.")
@passwords.FILE
@connected
def create_user(  # noqa: PLR0913 a user's fields
    api: Api,
    show: Show,
    *,
    name: str,
    is_admin: bool,
    no_password: bool,
    password_file: Path | None,
) -> None:
    """Create a user. The password is asked for, or read from a file."""
    password = None if no_password else passwords.chosen(password_file)
    show.item(api.post("/users", {"name": name, "is_admin": is_admin, "password": password}), LIST)


@command.command("show")
@argument("user")
@connected
def show_user(api: Api, show: Show, *, user: str) -> None:
    """Show a user."""
    show.item(api.get(path("users", user)), LIST)


@command.command("password")
@argument("user")
@passwords.FILE
@connected
def set_password(api: Api, show: Show, *, user: str, password_file: Path | None) -> None:
    """Set a user's password. All sessions of the user end."""
    show.item(api.patch(path("users", user), {"password": passwords.chosen(password_file)}), LIST)


@command.command("disable")
@argument("user")
@connected
def disable_user(api: Api, show: Show, *, user: str) -> None:
    """Disable a user: no sign-in, and all tokens of the user are refused."""
    show.item(api.patch(path("users", user), {"disabled": True}), LIST)


@command.command("enable")
@argument("user")
@connected
def enable_user(api: Api, show: Show, *, user: str) -> None:
    """Enable a disabled user, and the tokens of the user, again."""
    show.item(api.patch(path("users", user), {"disabled": False}), LIST)


@command.command("promote")
@argument("user")
@connected
def promote_user(api: Api, show: Show, *, user: str) -> None:
    """Make the user an administrator of the whole installation."""
    show.item(api.patch(path("users", user), {"is_admin": True}), LIST)


@command.command("demote")
@argument("user")
@connected
def demote_user(api: Api, show: Show, *, user: str) -> None:
    """Take an administrator's rights over the installation away."""
    show.item(api.patch(path("users", user), {"is_admin": False}), LIST)


@command.command("delete")
@argument("user")
@connected
def delete_user(api: Api, show: Show, *, user: str) -> None:
    """Delete a user. The user's memberships and tokens, and what these tokens made, end too."""
    api.delete(path("users", user))
    show.note(f"The user {user} is deleted.")
