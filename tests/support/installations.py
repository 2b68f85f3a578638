"""Installations that tests share, each test in a project of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.place import Place
from tests.support.postgres import TEMPLATE, Postgres
from tests.support.redis_server import Redis
from tests.support.stateroom import Stateroom

POLL_SECONDS = 2.0  # as in production: looking around all the time would slow the tests down


class Installations:
    """One installation for each choice of settings, started when first asked for."""

    def __init__(self, folder: Path, migrated: Path, postgres: Callable[[], Postgres]) -> None:
        """`migrated` is an SQLite file with our schema; of `postgres` a copy of TEMPLATE is used."""
        self._folder, self._migrated = folder, migrated
        self._postgres = postgres
        self._running: dict[str, Stateroom] = {}
        self._redis: Redis | None = None

    def server(
        self, database: str = "sqlite", broker: str = "filesystem", **settings: object
    ) -> Stateroom:
        """An installation whose server is up; it may have no worker."""
        name = "-".join([database, broker, *(f"{n}-{v}" for n, v in sorted(settings.items()))])
        if name not in self._running:
            installation = Stateroom(
                self._folder,
                database_url=""
                if database == "sqlite"
                else self._postgres().create(template=TEMPLATE),
                broker_url="filesystem://" if broker == "filesystem" else self._redis_url(),
                **{"poll_seconds": POLL_SECONDS, **settings},
            ).with_schema(self._migrated)
            self._running[name] = installation
            installation.start_server()
        return self._running[name]

    def place(self, database: str = "sqlite", **settings: Any) -> Place:
        """A fresh project in one of them, for clients of the state protocol."""
        return self.server(database, **settings).place()

    def with_worker(self, database: str = "sqlite", broker: str = "filesystem") -> Stateroom:
        installation = self.server(database, broker)
        if not installation.workers:
            installation.start_worker()
        return installation

    def stop(self) -> None:
        with ThreadPoolExecutor() as pool:
            problems = [said for said in pool.map(_stop, self._running.values()) if said]
        if self._redis is not None:
            self._redis.kill()
        assert not problems, "\n".join(problems)

    def _redis_url(self) -> str:
        if self._redis is None:
            self._redis = Redis(self._folder / "installation-redis")
        return self._redis.url


def _stop(installation: Stateroom) -> str:
    """Stop it, and return what was wrong."""
    try:
        installation.stop()
    except AssertionError as error:
        return str(error)
    return ""
