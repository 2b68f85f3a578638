"""Installations that tests share, each test in a project of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.postgres import Postgres
from tests.support.redis_server import Redis
from tests.support.stateroom import Stateroom


class Installations:
    """One installation for each pair of database and broker, started when first asked for."""

    def __init__(self, folder: Path, postgres: Callable[[], Postgres]) -> None:
        self._folder = folder
        self._postgres = postgres
        self._running: dict[tuple[str, str], Stateroom] = {}
        self._redis: Redis | None = None

    def server(self, database: str = "sqlite", broker: str = "filesystem") -> Stateroom:
        """An installation whose server is up; it may have no worker."""
        if (database, broker) not in self._running:
            installation = Stateroom(
                self._folder / f"installation-{database}-{broker}",
                database_url="" if database == "sqlite" else self._postgres().create(),
                broker_url="filesystem://" if broker == "filesystem" else self._redis_url(),
            )
            self._running[database, broker] = installation
            installation.start_server()
        return self._running[database, broker]

    def with_worker(self, database: str = "sqlite", broker: str = "filesystem") -> Stateroom:
        installation = self.server(database, broker)
        if not installation.workers:
            installation.start_worker()
        return installation

    def stop(self) -> None:
        problems = []
        for installation in self._running.values():
            try:
                installation.stop()
            except AssertionError as error:
                problems.append(str(error))
        if self._redis is not None:
            self._redis.kill()
        assert not problems, "\n".join(problems)

    def _redis_url(self) -> str:
        if self._redis is None:
            self._redis = Redis(self._folder / "installation-redis")
        return self._redis.url
