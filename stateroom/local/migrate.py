"""`stateroom migrate`: the schema of this version."""

from __future__ import annotations

from typing import Any

import click

from stateroom.local import shared


@click.command("migrate")
@shared.data_dir
def command(**given: Any) -> None:
    """Upgrade the database to the schema of this version. `up` and `server` do it themselves."""
    from backend import migrations
    from backend.db import Database

    with shared.one_line():
        settings = shared.settings(**given)
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = Database(settings)
        migrations.upgrade(database.engine)
        database.close()
    click.echo("The database has this version's schema.")
