from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import click

from client import chain
from client.api import Api
from stateroom.groups import group
from stateroom.options import connected, limited, maybe_in_project
from stateroom.tables import Columns, Show

Command = Callable[..., None]

LIST: Columns = {
    "at": "at",
    "principal": "principal",
    "id": "principal_id",
    "action": "action",
    "object": "object",
    "detail": lambda entry: _words(entry["detail"]),
}
VERDICT: Columns = {
    "verified": "verified",
    "broken": lambda found: _reason(found["broken"]),
    "unlinked": "unlinked",
    "oldest unlinked": "oldest_unlinked_at",
    "head": "head",
}
VERDICT_OF_A_FILE: Columns = {
    "verified": "verified",
    "missing": "missing",
    "broken": "broken",
    "head": "head",
}


@group("audit")
def command() -> None:
    """The audit log: every change, and every time a person read a state."""


def _moment(
    _context: click.Context, _option: click.Parameter, given: datetime | None
) -> str | None:
    return None if given is None else given.replace(tzinfo=UTC).isoformat()


def period(command: Command) -> Command:
    for name, text in (
        ("until", "Only entries before this moment."),
        ("since", "Only entries from this moment on."),
    ):
        option = click.option(
            f"--{name}", type=click.DateTime(), callback=_moment, help=f"{text} In UTC."
        )
        command = option(command)
    return command


@command.command("list")
@click.option("--principal", help="Only by this user or token: a name or an id.")
@click.option("--action", help="Only this action, or actions that begin so: `state.`.")
@click.option("--object", help="Only on the thing with this id.")
@period
@maybe_in_project
@connected
@limited(100)
def list_audit(api: Api, show: Show, *, where: str, **asked: str | None) -> None:
    """List the entries of the audit log, newest first."""
    show.rows(api.items(f"{where}/audit", **asked), LIST)


@command.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@period
@maybe_in_project
@connected
def export_audit(api: Api, show: Show, *, where: str, file: Path, **asked: str | None) -> None:
    """Write the audit log to FILE (- for standard output) as JSON lines, oldest first."""
    source = f"{where}/audit/export"
    if str(file) == "-":
        api.download(source, sys.stdout.buffer, **asked)
        return
    draft = file.with_name(f".{file.name}.part")
    with draft.open("wb") as to:
        api.download(source, to, **asked)
    with draft.open("rb") as written:
        found = chain.check(written, gaps="allowed")
    if found.broken is not None:
        raise click.ClickException(f"{draft}: {found.broken}")
    draft.replace(file)
    show.note(f"{found.verified} entries; the last is {found.head}")


def or_in_a_file(command: Command) -> Command:
    """The same question, asked of an export: then no server is needed."""

    @functools.wraps(command)
    def verify(
        *, file: BinaryIO | None, show: Show, head: str | None, filtered: bool, **server: object
    ) -> None:
        if file is None:
            command(show=show, head=head, **server)
            return
        found = chain.check(file, head, gaps="allowed" if filtered else "refused")
        _tell(show, asdict(found), VERDICT_OF_A_FILE)

    return verify


@command.command("verify")
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--head",
    metavar="NUMBER:HASH",
    help="The head that an earlier verify printed: finds entries that are missing at the end.",
)
@click.option(
    "--filtered",
    is_flag=True,
    help="FILE has one project or period only: gaps between entries are no fault.",
)
@or_in_a_file
@connected
def verify_audit(api: Api, show: Show, *, head: str | None) -> None:
    """Check that nothing was changed, removed, inserted or moved: on the server, or in FILE.

    FILE is an export; it is checked here, without a server or a key. Note the head somewhere else
    and give it the next time: only so a missing end is found. Exit status 1: something is broken.
    """
    _tell(show, api.get("/audit/verify", head=head), VERDICT)


def _tell(show: Show, found: Mapping[str, Any], columns: Columns) -> None:
    show.item(found, columns)
    if found["broken"] is not None:
        raise SystemExit(1)


def _words(detail: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in detail.items()
    )


def _reason(broken: Mapping[str, Any] | None) -> str | None:
    return None if broken is None else f"{broken['kind']}: {broken['message']}"
