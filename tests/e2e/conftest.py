"""Real tools against real servers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support import browsers
from tests.support.elsewhere import S3, Elsewhere, Http, Moto, Pg
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.repositories import MODULE, Repository
from tests.support.tools import GIVEN, Checkout, Tool, choices, find_tool

# `make matrix` gives one release; else the newest of the wheel runs beside what is installed
CLIENTS = ["terraform"] if GIVEN["terraform"] in os.environ else ["terraform", "wheel", "tofu"]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with browsers.chromium() as chromium:
        yield chromium


@pytest.fixture(params=choices(*CLIENTS))
def client_tool(request: pytest.FixtureRequest, terraform_in_wheel: Path) -> Tool:
    """Each client of the state protocol there is."""
    if request.param == "wheel":
        return Tool("terraform", terraform_in_wheel)
    return find_tool(request.param, otherwise=terraform_in_wheel)


@pytest.fixture
def place(installations: Installations) -> Place:
    """A fresh project on a server."""
    return installations.place()


@pytest.fixture
def new_checkout(client_tool: Tool, tmp_path: Path) -> Callable[..., Checkout]:
    """Makes folders on somebody's laptop, with a configuration and no backend yet."""

    def make(name: str = "module", configuration: str = MODULE) -> Checkout:
        return Checkout(client_tool, tmp_path / name, configuration)

    return make


@pytest.fixture
def checkout(new_checkout: Callable[..., Checkout], place: Place) -> Checkout:
    """A folder that is connected to the place's state and initialised."""
    folder = new_checkout()
    folder.connect(place.state)
    folder.init()
    return folder


@pytest.fixture
def run_place(
    installations: Installations, tool: Tool, repository: Repository
) -> Callable[..., Place]:
    """Makes projects whose template is the repository, with these files, on a running worker."""

    def make(
        files: Mapping[str, str] | None = None,
        *,
        database: str = "sqlite",
        broker: str = "filesystem",
        **template: object,
    ) -> Place:
        if files is not None:
            repository.replace(files)
        installation = installations.with_worker(database, broker)
        return installation.place(
            **{"repository": str(repository.folder), "tool": tool.name} | template
        )

    return make


@pytest.fixture
def place_with(installations: Installations) -> Callable[..., Place]:
    """Makes projects whose template has these fields, on a running worker."""
    return installations.with_worker().place


@pytest.fixture
def run_repository(
    tool: Tool, repository: Repository
) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """What a template needs to run the repository with these files."""

    def fields(files: Mapping[str, str]) -> dict[str, str]:
        repository.replace(files)
        return {"repository": str(repository.folder), "tool": tool.name}

    return fields


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """An S3 without a cloud."""
    server = Moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.stop()


@pytest.fixture
def pg(postgres: Postgres) -> Iterator[Pg]:
    """A database that a repository keeps its state in."""
    url = postgres.create()
    yield Pg(postgres.seen_by_runs(url))
    postgres.drop(url)


@pytest.fixture(params=["pg", "s3"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    """Backends that are not ours."""
    if request.param == "s3":
        moto: Moto = request.getfixturevalue("moto")
        return S3(moto.url)
    pg: Pg = request.getfixturevalue("pg")
    return pg


@pytest.fixture
def slow_http() -> Iterator[Http]:
    """An http backend that may keep somebody waiting."""
    backend = Http()
    yield backend
    backend.stop()
