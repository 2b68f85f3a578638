"""The first-run guide in a real browser, with the real tool: from nothing to applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsers import Window, faults_of, overhang
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.repositories import Repository
from tests.support.sshd import Sshd, any_sshd
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

SOON = 40_000  # a repository is fetched meanwhile
NEEDY = """
variable "greeting" { type = string }
resource "terraform_data" "thing" { input = var.greeting }
"""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture(scope="module")
def private_hosts(installations: Installations) -> Stateroom:
    """The ssh server of the tests is on this machine."""
    installation = installations.server(allow_private_hosts=True)
    if not installation.workers:
        installation.start_worker()
    return installation


@pytest.fixture
def window(window_of: Callable[..., Window], private_hosts: Stateroom) -> Window:
    return window_of(private_hosts.place(), admin=True)


def begin(window: Window, name: str) -> Page:
    page = window.open("/guide")
    page.get_by_label("Name of the project").fill(name)
    page.get_by_role("button", name="Make the project").click()
    return page


def approve(page: Page) -> None:
    page.get_by_role("button", name="Approve and apply").click()
    expect(page.locator(".badge.applied").first).to_be_visible(timeout=60_000)


def test_a_newcomer_applies_his_repository_in_three_minutes(
    window: Window, repository: Repository, tool: Tool
) -> None:
    repository.replace({"main.tf": NEEDY})
    started = monotonic()

    page = begin(window, f"newcomer-{tool.name}")
    page.get_by_label("Address").fill(str(repository.folder))
    page.get_by_label("Tool").select_option(tool.name)
    expect(page.locator("#preview")).to_contain_text("a run can begin", timeout=SOON)
    expect(page.locator("#preview")).to_contain_text("greeting", timeout=SOON)
    page.get_by_role("button", name="Use this repository").click()
    page.get_by_label("greeting").fill("hello")
    page.get_by_role("button", name="Set them and go on").click()
    page.get_by_role("button", name="Plan", exact=True).click()
    approve(page)

    assert monotonic() - started < 180


def test_a_private_repository_over_ssh_is_applied_with_a_key_made_in_the_guide(
    window: Window, repository: Repository, sshd: Sshd
) -> None:
    page = begin(window, "private")
    page.get_by_label("Address").fill(sshd.url(repository.folder))
    offer = page.locator("#host-offer")
    expect(offer).to_contain_text(sshd.fingerprint, timeout=SOON)
    page.get_by_role("button", name="trust this host").click()
    expect(page.locator("#preview")).to_contain_text(
        "does not let this key read the repository", timeout=SOON
    )

    page.get_by_role("button", name="It is private: make a key").click()
    page.get_by_role("button", name="Make the key").click()
    page.wait_for_url("**/key/deploy?*")
    public = page.locator(".snippet pre").first.inner_text()
    sshd.authorize(public)
    page.get_by_role("link", name="It is there: go on").click()
    expect(page.get_by_label("Address")).to_have_value(sshd.url(repository.folder))
    expect(page.locator("#preview")).to_contain_text("a run can begin", timeout=SOON)
    page.get_by_role("button", name="Use this repository").click()
    page.get_by_role("link", name="Go on", exact=True).click()
    page.get_by_role("button", name="Plan", exact=True).click()

    approve(page)


def test_the_guide_can_be_left_and_taken_up_again(window: Window, repository: Repository) -> None:
    page = begin(window, "left")
    page.get_by_label("Address").fill(str(repository.folder))
    page.get_by_label("Address").press("Enter")
    page.wait_for_url("**/variables")

    page.goto("/guide")
    page.get_by_role("link", name="left", exact=True).click()
    page.get_by_role("link", name="Go on").click()

    expect(page.get_by_text("nothing is missing")).to_be_visible(timeout=SOON)


def test_axe_finds_nothing_serious_in_the_guide(
    window_of: Callable[..., Window], private_hosts: Stateroom, repository: Repository
) -> None:
    place: Place = private_hosts.place(repository=str(repository.folder))
    at = f"/guide/{place.project}"
    of_template = f"{at}/templates/module"
    window = window_of(place, admin=True, viewport={"width": 360, "height": 760})

    for path in (
        "/guide", at, f"{at}/repository?template=module", f"{at}/key",
        f"{of_template}/variables", f"{of_template}/plan",
    ):  # fmt: skip
        page = window.open(path)
        page.wait_for_load_state("networkidle")
        assert (faults_of(page), overhang(page)) == ([], 0), path
        page.emulate_media(color_scheme="dark")
        assert faults_of(page, "color-contrast") == [], path
        page.close()
