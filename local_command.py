"""What the commands on the server's own machine share: settings, and how they refuse."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from backend.config import Settings
    from backend.installation import Installation


class Refused(click.ClickException):
    """One line on standard error, exit status 2."""

    exit_code = 2


def data_dir(command: Callable[..., None]) -> Callable[..., None]:
    kind = click.Path(file_okay=False, path_type=Path)
    text = "Where everything is kept [STATEROOM_DATA_DIR; default stateroom-data]."
    return click.option("--data-dir", type=kind, help=text)(command)


def settings(**given: Any) -> Settings:
    """The settings, in a process whose memory and files are its own. Raises WrongSetting."""
    from backend import config, log_lines
    from runner import sandbox

    found = config.load(**given)
    log_lines.configure(found.log_format)
    os.umask(0o077)
    sandbox.hide_memory()
    return found


@contextmanager
def one_line() -> Iterator[None]:
    """What an operator can put right is said in one line."""
    from sqlalchemy.exc import OperationalError

    from backend.config import WrongSetting
    from backend.errors import Error
    from backend.installation import NotReady
    from backend.keyring import WrongKeyring

    try:
        yield
    except (WrongSetting, NotReady, WrongKeyring, Error) as error:
        raise Refused(str(error)) from None
    except OperationalError as error:
        reason = " ".join(str(error.orig).split())
        raise Refused(f"STATEROOM_DATABASE_URL: the database does not answer: {reason}") from None
    except (PermissionError, FileExistsError) as error:
        raise Refused(f"{error.filename}: {error.strerror}") from None


@contextmanager
def installation_at_hand(**given: Any) -> Iterator[Installation]:
    """The installation on this machine, beside its running servers."""
    from backend import installation

    with one_line():
        here = installation.existing(settings(**given))
        try:
            yield here
        finally:
            here.database.close()
