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
    "most runs at once": "max_runs",
}


@group("projects")
def command() -> None:
    """Projects: each has its own members, templates, workspaces and keys."""


command.add_command(host_keys.command)


@command.command("list")
@connected
@limited()
def list_projects(api: Api, show: Show) -> None:
    """List the projects that you may see."""
    show.rows(api.items("/projects"), LIST)


@command.command("create")
@click.argument("name")
@click.option("--description", help="A text about the project, shown with its name.")
@connected
def create_project(api: Api, show: Show, **project: Any) -> None:
    """Create a project. Only administrators of the installation may."""
    show.item(api.post("/projects", project), DETAIL)


@command.command("show")
@argument("project")
@connected
def show_project(api: Api, show: Show, *, project: str) -> None:
    """Show a project and its quotas."""
    show.item(api.get(path("projects", project)), DETAIL)


@command.command("set")
@argument("project")
@click.option("--name", help="A new name. It changes the addresses of the project's states.")
@click.option("--description", help="A text about the project, shown with its name.")
@click.option(
    "--accept-new-host-keys/--refuse-new-host-keys", default=None,
    help="Trust an ssh server's key when a run sees it for the first time, or never.",
)  # fmt: skip
@click.option(
    "--max-states", type=NUMBER_OR_NONE, help="Quota: the number of states; none removes it."
)
@click.option(
    "--max-versions",
    type=NUMBER_OR_NONE,
    help="Quota: the versions kept of each state; none removes it.",
)
@click.option(
    "--max-state-bytes", type=NUMBER_OR_NONE, help="Quota: the bytes of one state; none removes it."
)
@click.option(
    "--max-runs", type=NUMBER_OR_NONE, help="Quota: the runs at work at once; none removes it."
)
@connected
def change_project(api: Api, show: Show, *, project: str, **given: Any) -> None:
    """Change a project. Only administrators of the installation may change quotas."""
    show.item(api.patch(path("projects", project), changes(given)), DETAIL)


@command.command("delete")
@argument("project")
@connected
def delete_project(api: Api, show: Show, *, project: str) -> None:
    """Delete a project that has no templates and no states. Its keys and tokens are deleted too."""
    api.delete(path("projects", project))
    show.note(f"The project {project} is deleted.")
