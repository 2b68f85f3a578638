from __future__ import annotations

from typing import Any

import click

from client.api import Api
from stateroom.groups import group
from stateroom.options import connected, in_project, in_workspace, limited
from stateroom.tables import Columns, Show

LIST: Columns = {
    "workspace": "workspace.name",
    "held by": "held_by",
    "who": "info.Who",
    "operation": lambda lock: (
        str(lock["info"].get("Operation", "")).removeprefix("OperationType") if lock["info"] else ""
    ),
    "since": "acquired_at",
    "stale": "stale",
    "until": "expires_at",
    "reason": "hold_reason",
}
DETAIL: Columns = {
    "held": "held",
    **{title: of for title, of in LIST.items() if title != "workspace"},
    "last seen": "last_seen_at",
    "run": "run_id",
    "id": "lock_id",
    "taken over from": "taken_from",
}


@group("locks")
def command() -> None:
    """Locks of states: list, hold, release and break them."""


@command.command("list")
@in_project
@connected
@limited()
def list_locks(api: Api, show: Show, *, project: str) -> None:
    """List the locks of a project that are held now."""
    show.rows(api.items(f"{project}/locks"), LIST)


@command.command("show")
@in_workspace
@connected
def show_lock(api: Api, show: Show, *, workspace: str) -> None:
    """Show whether the state is locked, and by whom."""
    show.item(api.get(f"{workspace}/lock"), DETAIL)


@command.command("hold")
@click.option("--reason", required=True, help="The reason, shown to everyone who is refused.")
@click.option(
    "--minutes",
    "expires_in_minutes",
    type=click.IntRange(1),
    help="Release it after so many minutes.",
)
@click.option(
    "--until",
    "expires_at",
    help="Release it at this moment, with its time zone: 2030-01-31T18:00:00Z.",
)
@in_workspace
@connected
def hold_lock(api: Api, show: Show, *, workspace: str, **hold: Any) -> None:
    """Hold the lock by hand: nobody plans or applies. Repeat it to change the reason or the end."""
    show.item(api.post(f"{workspace}/lock", hold), DETAIL)


@command.command("release")
@in_workspace
@connected
def release_lock(api: Api, show: Show, *, workspace: str) -> None:
    """Release a lock that is held by hand."""
    api.delete(f"{workspace}/lock")
    show.note("The lock is free.")


@command.command("break")
@click.option("--reason", required=True, help="The reason, for the audit log.")
@in_workspace
@connected
def break_lock(api: Api, show: Show, *, workspace: str, reason: str) -> None:
    """Free the lock, whoever holds it. A later write of the holder is refused and rescued."""
    broken = api.delete(f"{workspace}/lock", reason=reason)
    show.note(f"The lock is free; {broken['held_by']} had it.")
