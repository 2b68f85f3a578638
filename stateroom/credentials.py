"""What the commands of one user remember: each server's token, and which server they talk to.

One file in the user's configuration folder. `login` keeps a token in it; `up` notes where a server
of this machine has its administrator's token, and no token.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click

OTHERS = 0o077


@dataclass(frozen=True)
class Entry:
    """How one server is entered: by a token, or by the one in a file."""

    token: str = field(default="", repr=False)
    token_file: str = ""
    user: str = ""
    expires_at: str = ""


@dataclass(frozen=True)
class Credentials:
    """`servers` are entries by the URL of a server; `current` is one of the URLs, or empty."""

    servers: Mapping[str, Entry] = field(default_factory=dict)
    current: str = ""


class Unusable(click.UsageError):
    """The file cannot be used. The message says what to do."""


class NoHome(Unusable):
    def __init__(self) -> None:
        super().__init__("There is no home folder to keep a token in: set XDG_CONFIG_HOME.")


def place() -> Path:
    """The user's file, which may not be there. Raises NoHome."""
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        folder = named if named.is_absolute() else Path.home() / ".config"
    except RuntimeError:
        raise NoHome from None
    return folder / "stateroom" / "credentials.json"


def read() -> Credentials:
    """What is remembered: nothing where there is no home folder, or no file in it.

    Raises Unusable for a file that others may read, too.
    """
    try:
        file = place()
    except NoHome:
        return Credentials()
    try:
        with file.open(encoding="utf-8") as opened:
            _refuse_others(file, os.fstat(opened.fileno()))
            return _parsed(opened.read())
    except (FileNotFoundError, NotADirectoryError):
        return Credentials()
    except OSError as error:
        raise Unusable(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unusable(f"{file} cannot be used ({error}): remove it, and sign in again.") from None


def remember(url: str, entry: Entry) -> None:
    """Keep the entry of a server, which is the current one from now on. Raises Unusable."""
    with _changing() as (file, found):
        _write(file, Credentials({**found.servers, url: entry}, url))


def remember_here(url: str, token_file: Path) -> str:
    """Note where a server of this machine has a token. Who is signed in there stays so.

    It becomes the current server if there is none. Returns the current one. Raises Unusable.
    """
    entry = Entry(token_file=str(token_file))
    with _changing() as (file, found):
        servers = {u: e for u, e in found.servers.items() if e.token_file != entry.token_file}
        servers.setdefault(url, entry)
        current = found.current if found.current in servers else url
        _write(file, Credentials(servers, current))
        return current


def forget(url: str) -> Entry | None:
    """Remove the entry of a server; None if there is none. Raises Unusable."""
    with _changing() as (file, found):
        servers = dict(found.servers)
        entry = servers.pop(url, None)
        if entry is not None:
            _write(file, Credentials(servers, "" if found.current == url else found.current))
        return entry


def _refuse_others(file: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise Unusable(f"{file} has tokens in it, and belongs to another user.")
    if status.st_mode & OTHERS:
        raise Unusable(f"{file} has tokens in it, and others may read it: chmod 600 {file}")


def _parsed(text: str) -> Credentials:
    found = json.loads(text)
    servers = {str(url): Entry(**fields) for url, fields in found["servers"].items()}
    return Credentials(servers, str(found["current"]))


@contextmanager
def _changing() -> Iterator[tuple[Path, Credentials]]:
    """The file and what is in it; nobody else changes it meanwhile."""
    file = place()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield file, read()
        finally:
            os.close(folder)
    except OSError as error:
        raise Unusable(f"{file} cannot be written: {error.strerror}.") from None


def _write(file: Path, credentials: Credentials) -> None:
    """All of it or nothing: a new file takes the place of the old one."""
    target = Path(os.path.realpath(file))
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".credentials-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            json.dump(asdict(credentials), opened, indent=2)
            opened.flush()
            os.fsync(opened.fileno())
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)  # it is there only if something failed
