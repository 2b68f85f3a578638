"""Runs in a real browser: decided by two people, stopped, destroyed, and read by everybody."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.support.browsers import Window, faults_of
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.processes import living_in
from tests.support.repositories import MODULE, sleeping_module

SOON = 30_000  # milliseconds
HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
pytestmark = pytest.mark.parametrize("tool", ["terraform"], indirect=True)


def test_two_people_decide_and_the_second_one_is_told_what_the_first_one_did(
    run_place: Callable[..., Place], window_of: Callable[..., Window]
) -> None:
    place = run_place({"main.tf": MODULE})
    run = place.queue("apply", auto_approve=False, message=HOSTILE)
    run.wait("planned")
    path = f"/projects/{place.project}/runs/{run.id}"
    first, second = window_of(place, "manager").open(path), window_of(place, "owner").open(path)
    expect(first).to_have_title(re.compile("^planned: apply of first"))
    expect(first.locator(".message")).to_contain_text("<img src=x onerror=alert(1)>")
    second.get_by_text("Say why").click()
    second.get_by_label("Comment").first.fill("I look at it")  # so that nothing is renewed

    first.get_by_role("button", name="Approve and apply").click()
    expect(first.locator(".said")).to_contain_text("The plan is approved")
    second.get_by_role("button", name="Approve and apply").click()

    expect(second.locator("#refused")).to_contain_text("approved already, by manager")
    for page in (first, second):
        expect(page.locator(".run-head .badge")).to_have_text("applied", timeout=SOON)
        expect(page).to_have_title(re.compile("^applied: apply of first"))
        expect(page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("good.svg"))
    expect(second.get_by_role("button", name="Approve and apply")).to_have_count(0)
    expect(second.locator("#side")).to_contain_text("Claim 2")
    place.api.post(f"{run.path}/comments", text="Well done")
    expect(second.locator("#said")).to_contain_text("Well done", timeout=2 * SOON)
    expect(second.locator("#outputs")).to_contain_text("hello")


def test_a_plan_is_discarded_and_a_destroy_wants_the_name(
    run_place: Callable[..., Place], window_of: Callable[..., Window]
) -> None:
    place = run_place({"main.tf": MODULE})
    place.queue("apply").wait("applied")
    run = place.queue("destroy", auto_approve=False)
    run.wait("planned")
    page = window_of(place, "manager").open(f"/projects/{place.project}/runs/{run.id}")

    page.get_by_label("Type first to approve it").fill("firs")
    page.get_by_role("button", name="Approve and destroy").click()
    assert run.status() == "planned"
    page.get_by_label("Type first to approve it").fill("first")
    page.get_by_role("button", name="Approve and destroy").click()
    expect(page.locator(".run-head .badge")).to_have_text("applied", timeout=SOON)

    page.get_by_role("link", name="Queue another run").click()
    page.get_by_label("Why").fill("Bring it back")
    page.get_by_role("button", name="Queue the run").click()
    expect(page.get_by_text("This plan waits for an approval")).to_be_visible(timeout=SOON)
    page.get_by_text("Discard the plan").first.click()
    page.get_by_label("Why").last.fill("Not today")
    page.get_by_role("button", name="Discard the plan").click()
    expect(page.locator(".run-head .badge")).to_have_text("discarded")
    expect(page.locator(".comments")).to_contain_text("Not today")


def test_a_live_run_is_canceled_and_counts_down_to_the_next_signal(
    run_place: Callable[..., Place],
    window_of: Callable[..., Window],
    installations: Installations,
) -> None:
    place = run_place({"main.tf": sleeping_module(120)})
    run = place.queue("apply")
    run.wait_to_say("quick: Creation complete")
    page = window_of(place, "task_runner").open(f"/projects/{place.project}/runs/{run.id}")
    expect(page.get_by_text("1 of 2 changes done")).to_be_visible(timeout=SOON)
    tools = living_in(installations.with_worker().work_dir, "terraform")
    assert tools
    for tool in tools:
        tool.suspend()  # so that it does not obey at once

    page.get_by_text("Cancel the run").first.click()
    page.get_by_role("button", name="Cancel the run").click()

    countdown = page.locator(".countdown")
    expect(countdown).to_contain_text(re.compile(r"follows in \d+ s"), timeout=SOON)
    before = countdown.text_content()
    page.wait_for_function(
        "said => document.querySelector('.countdown').textContent !== said", arg=before
    )
    page.get_by_text("Kill it now").first.click()
    expect(page.get_by_text("is in no state")).to_be_visible()
    page.get_by_role("button", name="Kill it now").click()
    expect(page.locator(".run-head .badge")).to_have_text("canceled", timeout=SOON)


def test_pages_of_runs_are_accessible_fit_a_phone_and_need_no_scripts(
    run_place: Callable[..., Place], window_of: Callable[..., Window]
) -> None:
    place = run_place({"main.tf": MODULE})
    run = place.queue("apply", auto_approve=False, message="m" * 300)
    run.wait("planned")
    at = f"/projects/{place.project}/runs"
    paths = (at, f"{at}/{run.id}", f"{at}/new?workspace=first", f"{at}/{run.id}/variables")

    for options in ({"color_scheme": "light"}, {"color_scheme": "dark"}):
        window = window_of(place, "manager", **options)
        for path in paths:
            assert faults_of(window.open(path)) == [], (options, path)
    phone = window_of(place, "manager", viewport={"width": 360, "height": 700})
    for path in paths:
        page = phone.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    plain = window_of(place, "manager", java_script_enabled=False)
    page = plain.open(f"{at}/{run.id}")
    page.get_by_role("button", name="Approve and apply").click()
    expect(page.locator(".said")).to_contain_text("The plan is approved")
