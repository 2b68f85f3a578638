"""Visitors of the pages of the project `shop`, by their roles."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.people import new_session
from tests.support.visitor import Visitor


@pytest.fixture
def visitor_of(app: Flask, shop: str) -> Callable[..., Visitor]:
    """Makes a visitor who signed in: with a role in the project `shop`, or as a stranger (None)."""

    def make(role: str | None = "owner", *, admin: bool = False) -> Visitor:
        name = f"visitor-{role}-{admin}".lower()
        return Visitor(app, new_session(app, name, role, admin=admin))

    return make


@pytest.fixture
def owner(visitor_of: Callable[..., Visitor]) -> Visitor:
    return visitor_of("owner")


@pytest.fixture
def administrator(visitor_of: Callable[..., Visitor]) -> Visitor:
    return visitor_of("owner", admin=True)


@pytest.fixture
def nobody(app: Flask) -> Visitor:
    """A visitor who has not signed in."""
    return Visitor(app)
