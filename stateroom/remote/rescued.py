from __future__ import annotations

import sys
from pathlib import Path

import click

from client.api import Api, path
from stateroom.completing import argument
from stateroom.groups import group
from stateroom.options import connected, in_workspace, limited
from stateroom.remote.states import DETAIL as VERSION
from stateroom.remote.states import save
from stateroom.tables import Columns, Show

LIST: Columns = {
    "id": "id",
    "reason": "reason",
    "serial": "serial",
    "size": "size",
    "by": lambda rescued: rescued["run_id"] or rescued["created_by"],
    "at": "created_at",
    "decision": "decision",
    "fault": "fault.code",
    "by whom": "decided_by",
}
DETAIL: Columns = {
    **LIST,
    "by": "created_by",
    "run": "run_id",
    "lineage": "lineage",
    "md5": "md5",
    "sha256": "sha256",
    "beside the current one": "comparison",
    "same bytes as version": "equals_version",
    "current version": "current.number",
    "current serial": "current.serial",
    "decided": "decided_at",
    "promoted to version": "promoted_to",
}


@group("rescued")
def command() -> None:
    """Rescued writes: state documents that were refused, and are kept until somebody decides."""


@command.command("list")
@click.option(
    "--all", "decided", is_flag=True, help="Include those that were promoted or dismissed."
)
@in_workspace
@connected
@limited()
def list_rescued(api: Api, show: Show, *, workspace: str, decided: bool) -> None:
    """List the rescued writes that wait for a decision, newest first."""
    undecided = None if decided else True
    show.rows(api.items(f"{workspace}/rescued", undecided=undecided), LIST)


@command.command("show")
@argument("rescued")
@in_workspace
@connected
def show_rescued(api: Api, show: Show, *, workspace: str, rescued: str) -> None:
    """Show a rescued write, compared with the current version of the state."""
    show.item(api.get(workspace + path("rescued", rescued)), DETAIL)


@command.command("pull")
@argument("rescued")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this new file, which only you can read. Default: standard output.",
)  # fmt: skip
@in_workspace
@connected
def pull_rescued(
    api: Api, show: Show, *, workspace: str, rescued: str, output: Path | None
) -> None:
    """Download the bytes of a rescued write as they arrived. The audit log records it."""
    document = workspace + path("rescued", rescued, "download")
    if output is None:
        api.download(document, sys.stdout.buffer)
        return
    size = save(api, document, output)
    show.note(f"{size:,} bytes are in {output}.")


@command.command("promote")
@argument("rescued")
@click.option("--force", is_flag=True, help="Also when its lineage differs from that of the state.")
@in_workspace
@connected
def promote_rescued(api: Api, show: Show, *, workspace: str, rescued: str, force: bool) -> None:
    """Store a rescued write as the newest version of the state."""
    made = api.post(workspace + path("rescued", rescued, "promote"), force=force or None)
    show.item(made, VERSION)


@command.command("dismiss")
@argument("rescued")
@in_workspace
@connected
def dismiss_rescued(api: Api, show: Show, *, workspace: str, rescued: str) -> None:
    """Remove the body of a rescued write that nobody needs."""
    show.item(api.post(workspace + path("rescued", rescued, "dismiss")), DETAIL)
