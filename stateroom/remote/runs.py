from __future__ import annotations

import sys
import time
from typing import IO, Any

import click

from client.api import Api, Item, RequestRefused, path
from stateroom.options import connected, in_project
from stateroom.tables import Show

LIST = {
    "id": "id",
    "workspace": "workspace.name",
    "operation": "operation",
    "status": "status",
    "error": "error.code",
    "made by": "created_by",
    "made": "created_at",
    "finished": "finished_at",
}
DETAIL = LIST | {
    "ref": "ref",
    "commit": "commit",
    "message": "message",
    "waits for": "blocked_by",
    "tool": "tool",
    "sandbox": "sandbox",
    "backend": "detection.verdict",
    "add": "changes.add",
    "change": "changes.change",
    "destroy": "changes.destroy",
    "wrote versions": "state_versions",
    "what is wrong": "error.message",
}
OPERATIONS = ("plan", "apply", "destroy", "import-state", "export-state")
DONE = ("applied", "planned_and_finished")
STATUSES = (
    *("queued", "preparing", "planning", "planned", "applying", *DONE),
    *("discarded", "stale", "errored", "canceled", "lost"),
)
POLL_SECONDS = 1.0


@click.group("runs")
def command() -> None:
    """What terraform and tofu were asked to do, and how far it is."""


@command.command("queue")
@click.option("-w", "--workspace", envvar="STATEROOM_WORKSPACE", help="Default: the project's.")
@click.option(
    "--operation", type=click.Choice(OPERATIONS), default="apply", show_default=True,
    help="import-state and export-state move the state here, and away.",
)  # fmt: skip
@click.option("--ref", help="A branch, tag or commit instead of the template's.")
@click.option("--message", help="Why.")
@click.option(
    "--start-empty", is_flag=True, default=None,
    help="Begin with nothing here, although earlier runs kept their state elsewhere.",
)  # fmt: skip
@click.option("--wait", is_flag=True, help="Follow the log; exit status 1 unless it succeeds.")
@in_project
@connected
def queue_run(api: Api, show: Show, *, project: str, wait: bool, **run: Any) -> None:
    """Queue a run in a workspace."""
    made = api.post(f"{project}/runs", run)
    if not wait:
        show.item(made, DETAIL)
        return
    where = project + path("runs", made["id"])
    _follow(api, where, sys.stderr.buffer)
    ended = api.get(where)
    show.item(ended, DETAIL)
    if ended["status"] not in DONE:
        raise RequestRefused(f"The run {made['id']} is {ended['status']}.")


@command.command("list")
@click.option("-w", "--workspace", envvar="STATEROOM_WORKSPACE", help="Only of this workspace.")
@click.option("--status", type=click.Choice(STATUSES), help="Only in this status.")
@in_project
@connected
def list_runs(api: Api, show: Show, *, project: str, **only: Any) -> None:
    """The runs of a project, newest first."""
    show.rows(api.items(f"{project}/runs", **only), LIST)


@command.command("show")
@click.argument("run")
@in_project
@connected
def show_run(api: Api, show: Show, *, project: str, run: str) -> None:
    """One run: how far it is, what was found, and what it changed."""
    found = api.get(project + path("runs", run))
    steps = [f"{step['name']}: {step['status']}" for step in found["steps"]]
    warnings = [f"Warning: {warning}" for warning in found["warnings"]]
    show.item(found, DETAIL, "\n".join([*steps, *warnings]))


@command.command("log")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Until the run ends.")
@in_project
@connected
def log_of_run(api: Api, show: Show, *, project: str, run: str, follow: bool) -> None:  # noqa: ARG001 bytes are bytes
    """What a run said, its secrets masked."""
    where = project + path("runs", run)
    if follow:
        _follow(api, where, sys.stdout.buffer)
    else:
        _say(api, where, 0, sys.stdout.buffer)


@command.command("cancel")
@click.argument("run")
@click.option("--force", is_flag=True, help="Now: what it made since its last save is lost.")
@in_project
@connected
def cancel_run(api: Api, show: Show, *, project: str, run: str, force: bool) -> None:
    """Stop a run: what is half done is saved, and the state unlocked."""
    how = "force-cancel" if force else "cancel"
    show.item(api.post(project + path("runs", run, how)), DETAIL)


@command.command("acknowledge")
@click.argument("run")
@in_project
@connected
def acknowledge_run(api: Api, show: Show, *, project: str, run: str) -> None:
    """Say that you looked at a lost run: its workspace may go on."""
    show.item(api.post(project + path("runs", run, "acknowledge")), DETAIL)


def _follow(api: Api, where: str, to: IO[bytes]) -> None:
    """Write the log as it comes, until the run has ended."""
    said = 0
    ended = False
    while not ended:
        found: Item = api.get(where)
        ended = found["finished_at"] is not None
        said = _say(api, where, said, to)
        if not ended:
            time.sleep(POLL_SECONDS)


def _say(api: Api, where: str, offset: int, to: IO[bytes]) -> int:
    """Write the log from there on: where it ends now."""
    while more := api.download(f"{where}/log", to, offset=offset):
        offset += more
        to.flush()
    return offset
