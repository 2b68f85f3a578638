"""`stateroom up`: everything on one machine."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from stateroom import credentials
from stateroom.local import shared

if TYPE_CHECKING:
    from backend.config import Settings


@click.command("up")
@shared.data_dir
@shared.address
def command(**given: Any) -> None:
    """Run the server and a worker on this machine, until Ctrl-C.

    The first start shows the administrator's token at a terminal; elsewhere it only says where
    the token is.
    """
    from backend import environ
    from backend.upkeep import installation
    from stateroom.local import earlier, stopping, supervisor

    with shared.one_line():
        settings = shared.settings_of_a_service(**given)
        shared.check_work_dir(settings)
        # every signal of the stop ladder, the last write, and a little
        grace = 2 * settings.stop_grace_seconds + 30.0
        listener = earlier.listen(settings, grace + supervisor.SERVER_SECONDS)
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        had_token = settings.admin_token_path.exists()
        installation.prepare(settings).database.close()
        family = earlier.begin(settings.data_dir)
    # what is not a terminal is a journal or a file, which others read
    token = _token(settings) if sys.stdout.isatty() and not had_token else None
    _note_where_it_is(settings)
    variables = environ.variables(os.environ) | {
        "STATEROOM_DATA_DIR": str(settings.data_dir.absolute()),
        "STATEROOM_HOST": settings.host,
        "STATEROOM_PORT": str(settings.port),
    }
    sys.exit(
        supervisor.run(
            variables,
            listener.fileno(),
            family,
            grace,
            ready=lambda: shared.welcome(settings, token),
            explain=partial(stopping.explain, settings),
        )
    )


def _note_where_it_is(settings: Settings) -> None:
    """Let this user's commands find the server and its administrator's token from any folder."""
    if not settings.admin_token_path.exists():
        return
    try:
        current = credentials.remember_here(
            settings.local_url, settings.admin_token_path.absolute()
        )
    except credentials.Unusable as error:  # no reason not to run
        click.echo(f"Commands need --data-dir {settings.data_dir}. {error.message}", err=True)
        return
    if current != settings.local_url:
        click.echo(f"Commands talk to {current}; to this server with --url {settings.local_url}")


def _token(settings: Settings) -> str | None:
    """The administrator's token; None when somebody has taken its file away, as one should."""
    path = settings.admin_token_path
    return path.read_text(encoding="utf-8").strip() if path.exists() else None
