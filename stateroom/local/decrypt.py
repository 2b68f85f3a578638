"""`stateroom decrypt`: the states of a backup, without a server."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stateroom.local import shared

if TYPE_CHECKING:
    from sqlalchemy import Engine

_folder = click.Path(file_okay=False, path_type=Path)
_file = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("decrypt")
@click.argument("backup")
@click.argument("folder", type=_folder)
@click.option(
    "--keyring", type=_file, help="The file with the keys. Default: `keyring` in the backup."
)
@click.option(
    "--blobs", type=_folder, help="The folder with large states. Default: `blobs` in the backup."
)
@click.option("--project", help="Only the states of this project.")
@click.option("--workspace", help="Only the states of workspaces of this name.")
@click.option("--version", type=int, help="Write this version instead of the newest one.")
def command(  # noqa: PLR0913 the options of a command
    *,
    backup: str,
    folder: Path,
    keyring: Path | None,
    blobs: Path | None,
    project: str | None,
    workspace: str | None,
    version: int | None,
) -> None:
    """Write the states of a BACKUP in clear into an empty FOLDER, as PROJECT/WORKSPACE.tfstate.

    Rescued writes that nobody decided on go to PROJECT/WORKSPACE.rescued, unless a version is asked
    for. Needs no server, and changes nothing. BACKUP is a folder of `stateroom backup`, a data
    folder, an SQLite file, or a postgresql:// URL (its password in PGPASSWORD or ~/.pgpass). Exit
    status 1 when something does not open; FOLDER/_manifest.json names each, and what was written.
    """
    from backend.sealing.blobs import Blobs
    from backend.sealing.keyring import Keyring
    from backend.upkeep import recovery

    beside = _beside(backup)
    with shared.one_line(), _database(backup) as engine:
        ring = Keyring.load(keyring or _known(beside, "keyring"), forbidden_mode=0)
        found = recovery.recover(
            engine,
            Blobs(blobs or _known(beside, "blobs")),
            ring,
            folder,
            recovery.Wanted(project, workspace, version),
        )
    for one in found.failed:
        click.echo(f"{one.project}/{one.workspace} {one.what}: {one.reason}", err=True)
    click.echo(
        f"{len(found.states)} states and {len(found.rescued)} rescued writes are in {folder}, "
        f"in clear; {len(found.failed)} do not open."
    )
    if encrypted := sum(one.encrypted for one in found.states):
        click.echo(f"{encrypted} of them OpenTofu encrypted itself: its own passphrase opens them.")
    sys.exit(1 if found.failed else 0)


def _beside(backup: str) -> Path | None:
    """The folder that keyring and blobs are looked for in."""
    if _is_url(backup):
        return None
    return Path(backup) if Path(backup).is_dir() else Path(backup).parent


def _known(beside: Path | None, name: str) -> Path:
    if beside is None:
        raise shared.CommandRefused(f"Say where the {name} is: --{name}.")
    return beside / name


def _database(backup: str) -> AbstractContextManager[Engine]:
    from backend import database_url
    from backend.upkeep import backup_databases, backups

    if _is_url(backup):
        try:
            url = database_url.parse(backup)
        except ValueError as wrong:
            raise shared.CommandRefused(f"The URL of the database {wrong}.") from None
        if url.password:
            raise shared.CommandRefused(
                "Others can see a password on the command line: put it in PGPASSWORD."
            )
        return backup_databases.postgresql(url)
    path = Path(backup)
    file = path / backups.DATABASE if path.is_dir() else path
    if (path / backups.DUMP).is_file():
        raise shared.CommandRefused(
            f"{path / backups.DUMP} is a dump of PostgreSQL: pg_restore it into any database, and "
            "name its URL here, with --blobs and --keyring."
        )
    if not file.is_file():
        raise shared.CommandRefused(f"There is no database: {file}")
    return backup_databases.sqlite(file)


def _is_url(backup: str) -> bool:
    return backup.startswith("postgresql://")
