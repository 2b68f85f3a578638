"""`stateroom backup`: a copy of an installation, made while it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from stateroom.local import shared


@click.command("backup")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--with-keyring",
    is_flag=True,
    help="Copy the keyring too. Whoever has the folder can then open all states in it.",
)
@shared.data_dir
def command(*, folder: Path, with_keyring: bool, **given: Any) -> None:
    """Copy the running installation into an empty FOLDER: the database, then large states.

    On PostgreSQL dump the database to FOLDER/stateroom.dump first; the rest follows. Exit status 1
    when a file of the installation is missing or damaged; the backup has everything else.
    """
    from backend.upkeep import backups

    with shared.installation_at_hand(**given) as here:
        copy = backups.of_sqlite if here.settings.is_sqlite else backups.of_postgresql
        made = copy(here, folder)
        if with_keyring:
            backups.add_keyring(here, folder)
    for name in sorted(made.missing):
        click.echo(f"missing: blobs/{name[:2]}/{name[2:]}", err=True)
    for name in sorted(made.damaged):
        click.echo(f"damaged: blobs/{name[:2]}/{name[2:]}", err=True)
    click.echo(f"{folder} has the database and {made.files} large states.")
    if not with_keyring:
        click.echo("It opens with the keyring alone: keep that in another place.")
    sys.exit(0 if made.is_whole else 1)
