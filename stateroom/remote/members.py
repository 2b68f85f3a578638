from __future__ import annotations

import click

from client.api import Api, path
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import connected, in_project, limited
from stateroom.tables import Show

LIST = {"name": "name", "role": "role", "since": "created_at", "user": "user_id"}
ROLES = ("guest", "task_runner", "manager", "owner")


@group("members")
def command() -> None:
    """Members of a project and their roles."""


@command.command("list")
@in_project
@connected
@limited()
def list_members(api: Api, show: Show, *, project: str) -> None:
    """List the members of a project, with their roles."""
    show.rows(api.items(f"{project}/members"), LIST)


@command.command("set")
@argument("user")
@click.argument("role", type=click.Choice(ROLES))
@in_project
@connected
def set_member(api: Api, show: Show, *, project: str, user: str, role: str) -> None:
    """Add a user to the project, or change the role of a member."""
    show.item(api.put(project + path("members", user), {"role": role}), LIST)


@command.command("remove")
@argument("user")
@in_project
@connected
def remove_member(api: Api, show: Show, *, project: str, user: str) -> None:
    """Remove a user from the project. The user does not see the project any more."""
    api.delete(project + path("members", user))
    show.note(f"{user} is no member any more.")
