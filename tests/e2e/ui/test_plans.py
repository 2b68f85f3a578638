"""The tree of a real plan, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Response, expect

from tests.support.browsers import Window, faults_of
from tests.support.place import Place
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository

CANARY = "canary-3f9a1c77"
ROOT = """\
variable "password" {}

resource "terraform_data" "first" {
  input = %(first)s
}

module "net" {
  source   = "./net"
  for_each = toset(%(zones)s)
  password = var.password
  size     = %(size)s
}

output "first" {
  value = terraform_data.first.input
}
"""
NET = """\
variable "password" {
  sensitive = true
}

variable "size" {}

resource "terraform_data" "login" {
  input            = { user = "ann", password = var.password }
  triggers_replace = [var.size]
}

resource "terraform_data" "script" {
  input = join("\\n", [for n in range(20) : "line ${n} of ${n == 7 ? var.size : 0}"])
}
"""


@pytest.fixture
def planned(place_with: Callable[..., Place], repository: Repository) -> tuple[Place, QueuedRun]:
    """A plan that destroys, replaces and updates resources in modules."""
    before = ROOT % {"first": '"a"', "zones": '["east", "west"]', "size": 1}
    repository.replace({"main.tf": before, "net/main.tf": NET})
    place = place_with(repository=str(repository.folder))
    place.set_variable("password", CANARY, sensitive=True)
    place.queue("apply").wait("applied")
    after = ROOT % {"first": '"b"', "zones": '["east"]', "size": 2}
    repository.replace({"main.tf": after, "net/main.tf": NET})
    run = place.queue("plan")
    run.wait("planned_and_finished")
    return place, run


def test_a_plan_is_read_filtered_and_searched(
    planned: tuple[Place, QueuedRun], window_of: Callable[..., Window]
) -> None:
    place, run = planned
    window = window_of(place, "guest")
    bodies: list[bytes] = []
    window.context.on("response", lambda answer: keep(bodies, answer))
    page = window.open(f"{run.path}/plan")
    expect(page.locator(".plan-counts")).to_contain_text("to destroy")
    expect(page.locator(".item")).to_have_count(5)

    page.get_by_text("Destroyed or replaced 3").click()
    expect(page.locator(".item")).to_have_count(3)
    expect(page).to_have_url(f"{place.wire.url}{run.path}/plan?action=destroys")
    first = page.locator("#plan-list .module").first
    expect(first.locator("summary").first).to_contain_text('module.net["west"]')
    expect(page.locator(".item").first).to_contain_text("destroy")

    page.get_by_label("Find resources").fill("EAST")
    expect(page.locator(".item")).to_have_count(1)
    expect(page).to_have_url(f"{place.wire.url}{run.path}/plan?q=EAST&action=destroys")

    page.locator(".item summary").click()
    values = page.locator(".item .planned")
    expect(values).to_contain_text("triggers_replace forces replacement")
    expect(values).to_contain_text("(sensitive)")
    page.get_by_text("Replaced 1").click()
    page.get_by_label("Find resources").fill("")
    page.get_by_text("All", exact=True).click()
    expect(page.locator(".item")).to_have_count(5)
    page.get_by_text("Expand all").click()
    expect(page.locator(".planned")).to_have_count(5)
    expect(page.locator(".planned .ins", has_text="line 7 of 2")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults_of(page) == [], scheme
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    older = "htmx.ajax('GET', `${location.pathname}?cursor=9_9`, '#plan-list')"
    page.evaluate(older)
    expect(page.locator("#plan-list")).to_contain_text("This address is of another plan")
    page.wait_for_load_state("networkidle")
    assert len(bodies) > 5
    assert [CANARY.encode() in body for body in bodies] == [False] * len(bodies)


def test_a_plan_is_read_without_scripts(
    planned: tuple[Place, QueuedRun], window_of: Callable[..., Window]
) -> None:
    place, run = planned
    window = window_of(place, "guest", java_script_enabled=False)
    page = window.open(f"{run.path}/plan")

    page.get_by_text("Replaced 1").click()
    expect(page.locator(".item")).to_have_count(1)
    page.get_by_label("Find resources").fill("nowhere")
    page.get_by_label("Find resources").press("Enter")
    expect(page.locator("#plan")).to_contain_text("No resource of this plan is like that")
    page.get_by_text("Show all").click()
    attributes_of(page, "terraform_data.first")
    page.goto(f"{run.path}/plan?expand=all")
    expect(page.locator(".planned")).to_have_count(5)

    page.goto(f"{run.path}/log")
    expect(page.locator("#log pre")).to_contain_text("Plan: ")
    page.goto(run.path)
    page.get_by_text("Show the plan").click()
    expect(page.locator(".item")).to_have_count(5)


def attributes_of(page: Page, name: str) -> None:
    item = page.locator(".item", has_text=name)
    item.locator("summary").click()
    item.get_by_text("Attributes before and after").click()
    expect(page.locator(".planned")).to_contain_text('"a"')
    expect(page.locator(".planned")).to_contain_text('"b"')


def keep(bodies: list[bytes], answer: Response) -> None:
    if answer.ok and "/projects/" in answer.url:
        bodies.append(answer.body())
