from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import click

from client.api import Api, path
from stateroom.groups import group
from stateroom.options import Command, connected, in_workspace, limited
from stateroom.remote import diff
from stateroom.tables import Columns, Item, Show


def _operation(version: Item) -> str:
    """What wrote it: terraform's `OperationTypeApply` is an Apply."""
    if version["restored_from"] is not None:
        return f"restore of {version['restored_from']}"
    return str(version["operation"] or "").removeprefix("OperationType")


LIST: Columns = {
    "number": "number",
    "serial": "serial",
    "size": "size",
    "by": lambda version: version["run_id"] or version["created_by"],
    "operation": _operation,
    "tool": "terraform_version",
    "pinned": "pinned",
    "at": "created_at",
    "removed": "removed_because",
    "fault": "fault.code",
}
DETAIL: Columns = {
    **LIST,
    "by": "created_by",
    "forced": "forced",
    "run": "run_id",
    "restored from": "restored_from",
    "lineage": "lineage",
    "encrypted": "encrypted",
    "lock": "lock_id",
    "md5": "md5",
    "sha256": "sha256",
    "removed at": "removed_at",
}
STATE = {
    "deleted": "deleted_at",
    "moved to": "archived_to",
    "newest version": "current.number",
    "refused writes": "rescued",
}


def a_version(command: Command) -> Command:
    """The argument `version`: a number, or `latest`."""
    return click.argument("version")(command)


def a_version_or_the_latest(command: Command) -> Command:
    return click.argument("version", default="latest")(command)


@group("states")
def command() -> None:
    """Versions of a workspace's state: list, download, upload, restore and delete them."""


command.add_command(diff.command)


@command.command("list")
@click.option("--removed", is_flag=True, help="Include versions whose body was removed.")
@in_workspace
@connected
@limited()
def list_states(api: Api, show: Show, *, workspace: str, removed: bool) -> None:
    """List the versions of the state, newest first."""
    show.rows(api.items(f"{workspace}/states", removed=removed or None), LIST)


@command.command("show")
@a_version_or_the_latest
@in_workspace
@connected
def show_state(api: Api, show: Show, *, workspace: str, version: str) -> None:
    """Show a version: a number, or by default the latest."""
    show.item(api.get(workspace + path("states", version)), DETAIL)


@command.command("pull")
@a_version_or_the_latest
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this new file, which only you can read. Default: standard output.",
)  # fmt: skip
@in_workspace
@connected
def pull_state(api: Api, show: Show, *, workspace: str, version: str, output: Path | None) -> None:
    """Download a version, byte for byte as it was written. The audit log records it."""
    document = workspace + path("states", version, "download")
    if output is None:
        api.download(document, sys.stdout.buffer)
        return
    size = save(api, document, output)
    show.note(f"{size:,} bytes are in {output}.")


def save(api: Api, document: str, output: Path) -> int:
    """Download into a new file that only its owner can read; it is whole, or it is not there."""
    try:
        output.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise click.UsageError(f"{output} cannot be made: {error.strerror}") from None
    try:
        with output.open("wb") as file:
            return api.download(document, file)
    except BaseException:  # whatever stopped it: half a state is worse than none
        output.unlink()
        raise


@command.command("push")
@click.argument("document", type=click.File("rb"))
@click.option(
    "--force", is_flag=True, help="Upload it even over a newer serial or another lineage."
)
@click.option(
    "--import", "only_import", is_flag=True,
    help="Upload it only if the state was never written, or was purged.",
)  # fmt: skip
@in_workspace
@connected
def push_state(  # noqa: PLR0913 its options
    api: Api, show: Show, *, workspace: str, document: BinaryIO, force: bool, only_import: bool
) -> None:
    """Upload DOCUMENT (- is standard input) as a new version; into an empty state it is an import.

    Lock, serial and lineage are guarded as for terraform.
    """
    query: Mapping[str, object] = {"force": force or None, "import": only_import or None}
    show.item(api.upload(f"{workspace}/states", document.read(), **query), DETAIL)


@command.command("restore")
@a_version
@in_workspace
@connected
def restore_state(api: Api, show: Show, *, workspace: str, version: str) -> None:
    """Restore an older version as a new one, with the next serial."""
    show.item(api.post(workspace + path("states", version, "restore")), DETAIL)


@command.command("pin")
@a_version
@in_workspace
@connected
def pin_state(api: Api, show: Show, *, workspace: str, version: str) -> None:
    """Pin a version: the retention rules do not remove it."""
    show.item(api.patch(workspace + path("states", version), {"pinned": True}), DETAIL)


@command.command("unpin")
@a_version
@in_workspace
@connected
def unpin_state(api: Api, show: Show, *, workspace: str, version: str) -> None:
    """Unpin a version: the retention rules may remove it again. Needs state:delete."""
    show.item(api.patch(workspace + path("states", version), {"pinned": False}), DETAIL)


@command.command("delete")
@click.argument("version", required=False)
@click.option(
    "--all", "whole", is_flag=True, help="Delete the whole state; `undelete` brings it back."
)
@in_workspace
@connected
def delete_state(api: Api, show: Show, *, workspace: str, version: str | None, whole: bool) -> None:
    """Remove the body of one version, or with --all delete the state until it is undeleted."""
    if whole == (version is not None):
        raise click.UsageError("Name a version, or say --all.")
    if version is not None:
        show.item(api.delete(workspace + path("states", version)), DETAIL)
    else:
        show.item(api.delete(f"{workspace}/states"), STATE)


@command.command("undelete")
@in_workspace
@connected
def undelete_state(api: Api, show: Show, *, workspace: str) -> None:
    """Bring a deleted state back unchanged."""
    show.item(api.post(f"{workspace}/states/undelete"), STATE)


@command.command("purge")
@click.confirmation_option(
    prompt="Every version and every refused write of this state will be gone for good. Go on?"
)
@in_workspace
@connected
def purge_state(api: Api, show: Show, *, workspace: str) -> None:
    """Remove all versions of a deleted state for good. Its address still answers 410."""
    show.item(api.post(f"{workspace}/states/purge"), STATE)


@command.command("unarchive")
@in_workspace
@connected
def unarchive_state(api: Api, show: Show, *, workspace: str) -> None:
    """Use an exported state here again. Nobody may use it at the other backend any more."""
    show.item(api.post(f"{workspace}/states/unarchive"), STATE)
