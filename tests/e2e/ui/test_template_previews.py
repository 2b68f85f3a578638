"""The form of a template with its preview, in a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsers import Window, faults_of, overhang
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.repositories import MODULE, S3_BACKEND, Repository
from tests.support.sshd import Sshd, any_sshd

SOON = 40_000  # a repository is fetched meanwhile
CLOUD = 'terraform {\n  cloud {\n    organization = "x"\n  }\n}\n'


@pytest.fixture
def place(installations: Installations) -> Place:
    return installations.place(allow_private_hosts=True)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def form(window_of: Callable[..., Window], place: Place) -> Page:
    return window_of(place, "owner").open(f"/projects/{place.project}/templates/new")


def test_what_a_run_would_find_is_told_while_one_types(
    form: Page, place: Place, repository: Repository
) -> None:
    found = form.locator("#preview")
    repository.replace({"main.tf": MODULE, "backend.tf": S3_BACKEND})
    form.get_by_label("Repository").fill(str(repository.folder))
    expect(found).to_contain_text("backend:s3 in backend.tf:2", timeout=SOON)
    form.get_by_label("State", exact=True).select_option("override")
    expect(found).to_contain_text("our backend replaces backend:s3", timeout=SOON)

    repository.replace({"main.tf": MODULE, "cloud.tf": CLOUD})
    repository.branch("release", {})
    form.get_by_label("Branch, tag or commit").fill("releases")
    expect(found).to_contain_text(
        "The repository has no branch, tag or commit releases", timeout=SOON
    )
    found.get_by_role("button", name="release", exact=True).click()
    expect(form.get_by_label("Branch, tag or commit")).to_have_value("release")
    expect(found).to_contain_text("cloud in cloud.tf:2", timeout=SOON)
    form.get_by_role("button", name="Create the template").click()

    expect(form.get_by_role("heading", name="Workspaces")).to_be_visible(timeout=SOON)
    made = place.api.get(f"/projects/{place.project}/templates/{repository.folder.name}")
    assert (made["ref"], made["backend_mode"]) == ("release", "override")


def test_an_unknown_host_is_trusted_in_the_page(
    form: Page, place: Place, repository: Repository, sshd: Sshd
) -> None:
    form.get_by_label("Repository").fill(sshd.url(repository.folder))
    expect(form.locator("#host-offer")).to_contain_text(sshd.fingerprint, timeout=SOON)

    form.get_by_role("button", name="trust this host").click()

    expect(form.locator("#preview")).to_contain_text(
        "does not let this key read the repository", timeout=SOON
    )
    known = place.api.get(f"/projects/{place.project}")["known_hosts"]
    assert sshd.key.public.split()[1] in known


def test_rows_are_added_and_removed_and_what_is_wrong_is_marked(form: Page, place: Place) -> None:
    form.get_by_label("Repository").fill("https://git.example.invalid/app.git")
    form.get_by_text("Survey: what is asked for").click()
    for name in ("first", "second", "third"):
        form.get_by_role("button", name="Add a question").click()
        form.locator("[data-rows=survey] [data-row]").last.get_by_label("Variable").fill(name)
    form.locator("[data-rows=survey] [data-row]").nth(1).get_by_role("button").click()
    form.get_by_text("Rules: what a plan may do").click()
    form.get_by_role("button", name="Add a window").click()
    form.get_by_label("Time zone").fill("Zurich")
    form.get_by_text("Rules: what a plan may do").click()
    form.get_by_role("button", name="Create the template").click()

    expect(form.locator(".problem-place")).to_contain_text(
        "Do you mean Europe/Zurich", timeout=SOON
    )
    form.get_by_label("Time zone").fill("Europe/Zurich")
    form.get_by_role("button", name="Create the template").click()

    expect(form.get_by_role("heading", name="Workspaces")).to_be_visible(timeout=SOON)
    made = place.api.get(f"/projects/{place.project}/templates/app")
    assert [one["name"] for one in made["survey"]] == ["first", "third"]
    assert [one["zone"] for one in made["rules"]["windows"]] == ["Europe/Zurich"]


def test_axe_finds_nothing_serious_on_the_pages_of_templates(
    window_of: Callable[..., Window], place: Place
) -> None:
    at = f"/projects/{place.project}/templates"
    window = window_of(place, admin=True, viewport={"width": 360, "height": 760})

    for path in (at, f"{at}/new", f"{at}/module", f"{at}/module/settings"):
        page = window.open(path)
        page.wait_for_load_state("networkidle")
        page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        assert (faults_of(page), overhang(page)) == ([], 0), path
        page.emulate_media(color_scheme="dark")
        assert faults_of(page, "color-contrast") == [], path
        page.close()
