"""Where the protocol tests stand: the application in this process, or a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from app import create_app
from backend.config import Settings
from tests.support.api import token_of
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.postgres import TEMPLATE, Postgres
from tests.support.processes import free_port
from tests.support.wire import Application


@dataclass(frozen=True)
class Running:
    """An application that many tests use, each in a project of its own."""

    settings: Settings
    wire: Application
    token: str

    def place(self) -> Place:
        return Place(self.wire, self.token, self.settings)


@pytest.fixture(scope="session")
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Running]]:
    """The application on each of the databases, made once."""
    made: dict[str, Running] = {}

    def on(database: str) -> Running:
        if database not in made:
            url = ""
            if database == "postgresql":
                postgres: Postgres = request.getfixturevalue("postgres")
                url = postgres.create(template=TEMPLATE)
            folder = tmp_path_factory.mktemp(f"application-{database}")
            settings = Settings(data_dir=folder, port=free_port(), database_url=url)
            app = create_app(settings)
            wire = Application(app, settings.url)
            made[database] = Running(settings, wire, token_of(folder))
        return made[database]

    yield on
    for application in made.values():
        application.wire.close()


@pytest.fixture(params=["sqlite", "postgresql", "alias"])
def place(request: pytest.FixtureRequest, running: Callable[[str], Running]) -> Place:
    """A fresh project in the application, on each of the databases; and at an alias."""
    if request.param == "alias":
        return running("sqlite").place().at_an_alias()
    return running(request.param).place()


@pytest.fixture(params=["sqlite", "postgresql"])
def served_place(request: pytest.FixtureRequest, installations: Installations) -> Place:
    """A fresh project on a real server, on each of the databases."""
    return installations.place(request.param)
