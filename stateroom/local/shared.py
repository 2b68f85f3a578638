"""What the commands on the server's own machine share: settings, and how they refuse."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.config import Settings
    from backend.transactions import Installation


class CommandRefused(click.ClickException):
    """One line on standard error, exit status 2."""

    exit_code = 2


def data_dir(command: Callable[..., None]) -> Callable[..., None]:
    kind = click.Path(file_okay=False, path_type=Path)
    text = "Where everything is kept [STATEROOM_DATA_DIR; default stateroom-data]."
    return click.option("--data-dir", type=kind, help=text)(command)


@contextmanager
def imports() -> Iterator[None]:
    """Import without looking for garbage: there is none, and looking takes a sixth of the start.

    What was imported stays, so the collector never looks at it again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settings(**given: Any) -> Settings:
    """The settings, in a process whose memory and files are its own. Raises WrongSetting."""
    from backend import environ, log_lines
    from runner.processes import sandbox

    found = environ.load(**given)
    log_lines.configure(found.log_format)
    os.umask(0o077)
    sandbox.hide_memory()
    return found


def settings_of_a_service(**given: Any) -> Settings:
    """The settings of a process that says where the server is. Raises WrongSetting."""
    from backend import environ

    found = settings(**given)
    environ.refuse_clients_url(found, os.environ)
    return found


@contextmanager
def one_line() -> Iterator[None]:
    """What an operator can put right is said in one line."""
    from sqlalchemy.exc import OperationalError

    from backend.config import WrongSetting
    from backend.errors import Error
    from backend.sealing.keyring import WrongKeyring
    from backend.upkeep.installation import NotReady
    from runner.errors import RunnerError

    try:
        yield
    except (WrongSetting, NotReady, WrongKeyring, Error) as error:
        raise CommandRefused(str(error)) from None
    except RunnerError as error:
        raise CommandRefused(error.message) from None
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise CommandRefused(
            f"STATEROOM_DATABASE_URL: the database does not answer: {reason}"
        ) from None
    except (PermissionError, FileExistsError) as error:
        raise CommandRefused(f"{error.filename}: {error.strerror}") from None


@contextmanager
def installation_at_hand(**given: Any) -> Iterator[Installation]:
    """The installation on this machine, beside its running servers."""
    from backend.upkeep import installation

    with one_line():
        here = installation.existing(settings(**given))
        try:
            yield here
        finally:
            here.database.close()


def address(command: Callable[..., None]) -> Callable[..., None]:
    host = "Address to listen on [STATEROOM_HOST; default 127.0.0.1]."
    port = "Port to listen on, 0 for a free one [STATEROOM_PORT; default 8420]."
    command = click.option("--port", type=int, help=port)(command)
    return click.option("--host", help=host)(command)


def check_work_dir(settings: Settings) -> None:
    """Say now what every run would fail of."""
    from backend.models import new_id
    from runner.errors import RunnerError
    from runner.processes import workdir

    try:
        workdir.check_root(settings.work_dir, new_id("run"), 999)
    except RunnerError as error:
        raise CommandRefused(f"STATEROOM_DATA_DIR: {error.message}") from None


def welcome(settings: Settings, token: str | None) -> None:
    click.echo(f"Stateroom is at {settings.url}")
    if token:
        click.echo(f"The administrator's token, shown once: {token}")
    if settings.admin_token_path.exists():
        click.echo(f"The administrator's token is kept in {settings.admin_token_path}")
