from __future__ import annotations

from typing import Any

import click

from client.api import Api, path
from stateroom.groups import group
from stateroom.options import (
    NUMBER_OR_NONE,
    TEXT_OR_NONE,
    changes,
    connected,
    in_project,
    limited,
    snippet_for,
)
from stateroom.tables import Columns, Show

LIST: Columns = {
    "name": "name",
    "template": "template.name",
    "frozen": "frozen_at",
    "id": "id",
    "made": "created_at",
}
DETAIL: Columns = {
    **LIST,
    "address": "addresses.address",
    "serial": "state.current.serial",
    "version": "state.current.number",
    "locked": "lock.held",
    "locked by": lambda found: found["lock"]["held_by"] if found["lock"]["held"] else None,
    "frozen because": "frozen_reason",
    "module key": "module_key.name",
    "lock timeout, seconds": "lock_timeout_seconds",
    "versions kept": "keep_versions",
    "days kept": "keep_days",
}


@group("workspaces")
def command() -> None:
    """Where a template runs, or just a state is kept: each has a state of its own."""


@command.command("list")
@in_project
@connected
@limited()
def list_workspaces(api: Api, show: Show, *, project: str) -> None:
    """The workspaces of a project."""
    show.rows(api.items(f"{project}/workspaces"), LIST)


@command.command("create")
@click.argument("name")
@click.option("--template", help="What it runs. Without one it only keeps a state.")
@click.option("--module-key", help="A stored SSH key for private modules.")
@snippet_for
@in_project
@connected
def create_workspace(api: Api, show: Show, *, project: str, tool: str, **workspace: Any) -> None:
    """Create a workspace with an empty state, and print how to reach it with a token."""
    made = api.post(f"{project}/workspaces", workspace)
    show.text(made, made["addresses"]["snippets"][tool])


@command.command("show")
@click.argument("workspace")
@snippet_for
@in_project
@connected
def show_workspace(api: Api, show: Show, *, project: str, workspace: str, tool: str) -> None:
    """One workspace: its state, who holds the lock, and how to reach it with a token."""
    found = api.get(project + path("workspaces", workspace))
    show.item(found, DETAIL, found["addresses"]["snippets"][tool])


@command.command("set")
@click.argument("workspace")
@click.option("--name", help="This changes the address of its state; aliases stay.")
@click.option("--template", help="For a workspace without one: what it runs from now on.")
@click.option("--module-key", type=TEXT_OR_NONE, help="A stored SSH key for private modules.")
@click.option(
    "--lock-timeout-seconds", type=NUMBER_OR_NONE, help="Take a silent client's lock over then."
)
@click.option("--keep-versions", type=NUMBER_OR_NONE, help="How many versions stay.")
@click.option("--keep-days", type=NUMBER_OR_NONE, help="For how long versions stay.")
@in_project
@connected
def change_workspace(api: Api, show: Show, *, project: str, workspace: str, **given: Any) -> None:
    """Change a workspace."""
    show.item(api.patch(project + path("workspaces", workspace), changes(given)), DETAIL)


@command.command("freeze")
@click.argument("workspace")
@click.option("--reason", required=True, help="Shown to whoever wants the lock meanwhile.")
@in_project
@connected
def freeze_workspace(api: Api, show: Show, *, project: str, workspace: str, reason: str) -> None:
    """Let nobody lock it, write its state or queue a run, until it is unfrozen."""
    found = api.post(project + path("workspaces", workspace, "freeze"), {"reason": reason})
    show.item(found, DETAIL)


@command.command("unfreeze")
@click.argument("workspace")
@in_project
@connected
def unfreeze_workspace(api: Api, show: Show, *, project: str, workspace: str) -> None:
    """Let it go on, and the runs that waited for it."""
    show.item(api.post(project + path("workspaces", workspace, "unfreeze")), DETAIL)


@command.command("delete")
@click.argument("workspace")
@in_project
@connected
def delete_workspace(api: Api, show: Show, *, project: str, workspace: str) -> None:
    """Delete a workspace whose state is empty or deleted, with its runs and variables."""
    api.delete(project + path("workspaces", workspace))
    show.note(f"The workspace {workspace} is deleted.")
