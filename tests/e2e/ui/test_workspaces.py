"""Workspaces in a real browser, with the real terraform: aliases, locks, and deleting."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.browsers import Window, faults_of
from tests.support.documents import state_document
from tests.support.place import Place
from tests.support.repositories import MODULE
from tests.support.tools import Checkout, find_tool

EVIL = "<img src=x onerror=alert(1)>\x1b[2J\u202etxt.exe"


@pytest.fixture
def laptop(tmp_path: Path, terraform_in_wheel: Path) -> Checkout:
    """Somebody's folder, which has no backend yet."""
    terraform = find_tool("terraform", otherwise=terraform_in_wheel)
    return Checkout(terraform, tmp_path / "module", MODULE)


def at(place: Place, tab: str = "") -> str:
    return f"/projects/{place.project}/workspaces/{place.workspace}{tab}"


def test_an_alias_made_in_the_page_is_used_by_the_real_terraform(
    window_of: Callable[..., Window], place: Place, laptop: Checkout
) -> None:
    page = window_of(place, "manager").open(at(place, "/aliases"))
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create the alias").click()
    expect(page.get_by_text("The password is shown only now")).to_be_visible()
    snippet = page.locator(".snippet pre").first.inner_text()

    laptop.write("backend.tf", snippet)
    laptop.init()
    laptop.apply()

    page.goto(at(place))
    expect(page.get_by_text("by alias laptop")).to_be_visible()
    expect(page.get_by_role("link", name="List them")).to_be_visible()
    assert len(place.versions()) == 1
    page.goto(at(place, "/aliases"))
    page.locator("summary", has_text="Revoke").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_role("cell", name="laptop revoked")).to_be_visible()
    assert laptop.run("plan", "-no-color", "-input=false").returncode != 0


def test_a_lock_held_in_the_page_refuses_terraform_until_somebody_breaks_it(
    window_of: Callable[..., Window], place: Place, laptop: Checkout
) -> None:
    laptop.connect(place.state)
    laptop.init()
    holder = window_of(place, "manager").open(at(place, "/lock"))
    holder.get_by_label("Reason").fill("a demo")
    holder.get_by_role("button", name="Hold the lock").click()
    expect(holder.get_by_text("Held by hand")).to_be_visible()

    refused = laptop.run("apply", "-auto-approve", "-input=false", "-no-color")

    assert refused.returncode != 0
    assert "held-by-manager" in refused.stdout + refused.stderr
    other = window_of(place, "owner").open(at(place, "/lock"))
    other.get_by_text("Break the lock", exact=True).first.click()
    expect(other.get_by_role("heading", name="Break the lock of manager-")).to_be_visible()
    other.get_by_label("Reason, for the audit log").fill("the demo is over")
    other.get_by_role("button", name="Break the lock").click()
    expect(other.get_by_text("Nobody has the lock.")).to_be_visible()
    laptop.apply()
    assert ("lock.break", "the demo is over") in place.audited("reason")


def test_a_workspace_is_deleted_when_its_name_is_typed(
    window_of: Callable[..., Window], place: Place
) -> None:
    place.state.write(b'{"version":4,"serial":1,"lineage":"l"}')
    page = window_of(place, "owner").open(at(place, "/delete"))
    delete = page.get_by_role("button", name="Delete the workspace")
    page.get_by_label("to confirm").fill(place.workspace + "x")
    delete.click()
    assert not page.evaluate("document.querySelector('[data-must-be]').validity.valid")
    page.get_by_label("to confirm").fill(place.workspace)

    delete.click()

    expect(page.get_by_role("alert")).to_contain_text("has 1 versions")
    page.get_by_label("Delete its state too").check()
    delete.click()
    page.wait_for_url(f"**/projects/{place.project}/workspaces")
    expect(page.get_by_text("There is no workspace yet")).to_be_visible()


def test_what_a_client_says_in_its_lock_is_shown_and_does_nothing(
    window_of: Callable[..., Window], place: Place
) -> None:
    info = {"ID": "8b6c", "Operation": EVIL, "Who": EVIL, "Info": EVIL, "Version": EVIL}
    assert place.state.lock(info).status == 200
    window = window_of(place, "owner")

    for path in (at(place, "/lock"), at(place), at(place)[: -len(place.workspace) - 1]):
        page = window.open(path)
        assert page.locator("main img").count() == 0
        text = page.locator("main").inner_text()
        assert not {"\x1b", "\u202e"} & {*text}, path
    page.goto(at(place, "/lock"))
    shown = json.dumps(EVIL)[1:-1].replace("\\u001b", "\\x1b")
    expect(page.get_by_text(shown).first).to_be_visible()


def test_forms_of_a_workspace_are_accessible_also_when_they_are_open(
    window_of: Callable[..., Window], place: Place
) -> None:
    window = window_of(place, "owner", color_scheme="dark")
    for tab in ("/settings", "/transfer", "/delete", "/variables"):
        page = window.open(at(place, tab))
        page.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true; })")
        assert faults_of(page) == [], tab


def test_a_state_in_the_repository_is_brought_here_by_the_guide(
    window_of: Callable[..., Window], run_place: Callable[..., Place]
) -> None:
    document = state_document(7, outputs={"region": "eu"})
    place = run_place({"main.tf": MODULE, "terraform.tfstate": document.decode()})
    page = window_of(place, "manager").open(at(place))
    page.get_by_role("link", name="Move its state here or away").click()

    page.get_by_role("button", name="Import the state").click()

    expect(page.locator(".badge.applied").first).to_be_visible()
    assert [version["serial"] for version in place.versions()] == [7]
    page.goto(at(place, "/transfer"))
    expect(page.get_by_text("There is a state here: version 1, serial 7")).to_be_visible()
