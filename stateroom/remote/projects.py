from __future__ import annotations

from typing import Any

import click

from client.api import Api, path
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import NUMBER_OR_NONE, changes, connected, limited
from stateroom.remote import host_keys
from stateroom.tables import Show

LIST = {"name": "name", "description": "description", "id": "id", "made": "created_at"}
DETAIL = LIST | {
    "trusts new hosts": "accept_new_host_keys",
    "states": "use.states",
    "most states": "max_states",
    "most versions of a state": "max_versions",
    "largest state, bytes": "max_state_bytes",
}


@group("projects")
def command() -> None:
    """What people belong to, and everything else belongs to."""


command.add_command(host_keys.command)


@command.command("list")
@connected
@limited()
def list_projects(api: Api, show: Show) -> None:
    """The projects that are open to you."""
    show.rows(api.items("/projects"), LIST)


@command.command("create")
@click.argument("name")
@click.option("--description", help="A text that is shown beside the name.")
@connected
def create_project(api: Api, show: Show, **project: Any) -> None:
    """Create a project: for administrators of the installation."""
    show.item(api.post("/projects", project), DETAIL)


@command.command("show")
@argument("project")
@connected
def show_project(api: Api, show: Show, *, project: str) -> None:
    """One project, and its quotas."""
    show.item(api.get(path("projects", project)), DETAIL)


@command.command("set")
@argument("project")
@click.option("--name", help="This changes the addresses of its states.")
@click.option("--description", help="A text that is shown beside the name.")
@click.option(
    "--accept-new-host-keys/--refuse-new-host-keys", default=None,
    help="Trust an ssh server's key when a run sees it for the first time, or never.",
)  # fmt: skip
@click.option("--max-states", type=NUMBER_OR_NONE, help="Quota: how many states.")
@click.option("--max-versions", type=NUMBER_OR_NONE, help="Quota: versions kept of a state.")
@click.option("--max-state-bytes", type=NUMBER_OR_NONE, help="Quota: bytes of a state.")
@connected
def change_project(api: Api, show: Show, *, project: str, **given: Any) -> None:
    """Change a project. Quotas are for administrators of the installation."""
    show.item(api.patch(path("projects", project), changes(given)), DETAIL)


@command.command("delete")
@argument("project")
@connected
def delete_project(api: Api, show: Show, *, project: str) -> None:
    """Delete a project that holds no templates and no states, with its keys and tokens."""
    api.delete(path("projects", project))
    show.note(f"The project {project} is deleted.")
