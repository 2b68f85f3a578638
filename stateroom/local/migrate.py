"""`stateroom migrate`: the schema of this version."""

from __future__ import annotations

from typing import Any

import click

from stateroom.local import shared


@click.command("migrate")
@shared.data_dir
def command(**given: Any) -> None:
    """Upgrade the database to the schema of this version. `up` and `server` do it themselves.

    Rows of an older version get their proofs, for which the keyring is needed.
    """
    from backend import migrations
    from backend.db import Database
    from backend.upkeep import installation

    with shared.one_line():
        settings = shared.settings(**given)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = Database(settings)
        migrations.upgrade(database.engine)
        is_begun = installation.is_begun(database)
        database.close()
        if is_begun:
            installation.prepare(settings).database.close()
    click.echo("The database has this version's schema.")
