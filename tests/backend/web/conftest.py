"""Fixtures: a project `shop` with a template and workspace `app`, and several people."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.transactions import Installation
from tests.support.caller import Caller

REPOSITORY = "https://git.example.com/team/app.git"


@pytest.fixture
def boss(client: FlaskClient, admin: str) -> Caller:
    """The administrator of the installation."""
    return Caller(client, admin)


@pytest.fixture
def shop(boss: Caller) -> str:
    """The path of a project with a template and a workspace, both named `app`."""
    boss.made("/projects", {"name": "shop"})
    boss.made("/projects/shop/templates", {"repository": REPOSITORY})
    return "/projects/shop"


@pytest.fixture
def app_workspace(shop: str) -> str:
    return f"{shop}/workspaces/app"


@pytest.fixture
def stranger(boss: Caller) -> Caller:
    """An administrator of another project."""
    boss.made("/projects", {"name": "elsewhere"})
    return boss.with_scopes("admin", project="elsewhere")


@pytest.fixture
def aliases(app_workspace: str) -> str:
    """The path of the aliases of the workspace `app`."""
    return f"{app_workspace}/aliases"


@pytest.fixture
def laptop(boss: Caller, aliases: str) -> dict[str, Any]:
    """A read-write alias, as its maker sees it this once."""
    made: dict[str, Any] = boss.made(aliases, {"name": "ann-laptop", "access": "read-write"})
    return made


@pytest.fixture
def server(app: Flask) -> Installation:
    """The installation behind the pages and the API."""
    made: Installation = app.extensions["stateroom"]
    return made


@pytest.fixture
def run(boss: Caller, shop: str) -> str:
    """The id of a run that waits in the queue."""
    made: str = boss.made(f"{shop}/runs")["id"]
    return made
