"""A server that a project does not know yet, asked for its key in the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browsers import Window
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.sshd import Sshd, any_sshd


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def place(installations: Installations) -> Place:
    """A project of an installation that may clone from this machine."""
    return installations.server(allow_private_hosts=True).place()


def test_a_host_is_asked_compared_and_known(
    window_of: Callable[..., Window], place: Place, sshd: Sshd
) -> None:
    page = window_of(place).open(f"/projects/{place.project}/hosts")
    page.get_by_label("Host", exact=True).fill("127.0.0.1:1")
    page.get_by_role("button", name="Ask for its keys").click()
    expect(page.get_by_role("alert")).to_contain_text("shows no host key")
    expect(page.get_by_label("Host", exact=True)).to_have_value("127.0.0.1:1")

    page.get_by_label("Host", exact=True).fill(f"127.0.0.1:{sshd.port}")
    page.get_by_role("button", name="Ask for its keys").click()
    expect(page.locator("main")).to_contain_text(sshd.fingerprint)
    page.get_by_role("button", name="They are the same: add them").click()

    expect(page.get_by_role("status")).to_contain_text("1 host key is new here")
    known = place.api.get(f"/projects/{place.project}")["known_hosts"]
    assert known == f"{sshd.known_hosts_line.strip()}\n"
