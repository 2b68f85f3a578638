"""A fixed cast: a project `shop` with one template and workspace `app`, and people around it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

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
