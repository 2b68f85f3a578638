"""Pages in a real browser, in front of a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import browsers
from tests.support.browsers import Window
from tests.support.people import PASSWORD
from tests.support.place import Place
from tests.support.wire import Http

expect.set_options(timeout=60_000)  # milliseconds: on a busy machine a run takes its time


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a file: each has windows of its own."""
    with browsers.chromium() as chromium:
        yield chromium


@pytest.fixture
def window_of(browser: Browser) -> Iterator[Callable[..., Window]]:
    """Opens the browser of a person with this role in a project; `None` is a stranger.

    `window_of(place, "manager")`; `admin=True` is an administrator of the installation.
    """
    opened: list[Window] = []

    def make(
        place: Place, role: str | None = "owner", *, admin: bool = False, **options: Any
    ) -> Window:
        name = f"{role or 'stranger'}-{place.project}-{len(opened)}"[:64]
        token = session_of(place, name, role, admin=admin)
        window = Window(browser, place.wire.url, token, **options)
        opened.append(window)
        return window

    yield make
    for window in opened:
        window.close()


@pytest.fixture
def desk(window_of: Callable[..., Window], place: Place) -> Page:
    """The first page, in the browser of an administrator who signed in."""
    return window_of(place, admin=True).open("/")


def session_of(place: Place, name: str, role: str | None, *, admin: bool = False) -> str:
    """The secret of a session of a new person with this role in the project of a place."""
    place.api.post("/users", name=name, password=PASSWORD, is_admin=admin)
    if role is not None:
        place.api.put(f"/projects/{place.project}/members/{name}", role=role)
    said = Http(place.wire.url).send(
        "POST",
        "/api/login",
        b'{"username": "%s", "password": "%s"}' % (name.encode(), PASSWORD.encode()),
        {"Content-Type": "application/json"},
    )
    assert said.status == 200, said.body
    token: str = said.json()["access_token"]
    return token
