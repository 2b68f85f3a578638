"""The plan of a real run, from the tool to the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.place import Place
from tests.support.repositories import Repository

CANARY = "canary-3f9a1c77"
MODULE = """\
variable "size" {}

variable "password" {}

resource "terraform_data" "many" {
  count = 100
  input = count.index
}

resource "terraform_data" "login" {
  input = { user = "ann", password = var.password, url = "https://ann:${var.password}@host" }
}

output "size" {
  value = var.size
}
"""


@pytest.fixture
def place(run_place: Callable[..., Place]) -> Place:
    place = run_place({"main.tf": MODULE})
    place.set_variable("size", "100", sensitive=True)
    place.set_variable("password", CANARY, sensitive=True)
    return place


def plan_of(place: Place, path: str, **query: Any) -> Any:
    more = "&".join(f"{name}={value}" for name, value in query.items())
    return place.api.get(f"{path}/plan?{more}")


def counts(plan: Any) -> dict[str, int]:
    return {name: count for name, count in plan["summary"].items() if count}


def test_a_plan_is_shown_with_its_counts_and_without_secrets(place: Place) -> None:
    run = place.queue("plan")
    ended = run.wait("planned_and_finished")

    plan = plan_of(place, run.path, limit=200)
    assert counts(plan) == {"add": 101, "outputs": 1}
    assert ended["changes"] == plan["summary"]
    assert [len(plan["resources"]), plan["next_cursor"]] == [101, None]
    [login] = plan_of(place, run.path, address="login")["resources"]
    assert login["after"]["input"] == {
        "user": "ann",
        "password": "(sensitive value)",
        "url": "https://ann:***@host",
    }
    assert ["id"] in login["unknown"]
    answer = place.api.send("GET", f"{run.path}/plan?limit=200")
    assert CANARY.encode() not in answer.body
    assert CANARY.encode() in place.api.send("GET", f"{run.path}/plan/json").body
    assert CANARY not in run.log()


def test_a_secret_of_a_hundred_does_not_hide_that_a_hundred_are_destroyed(
    place: Place, repository: Repository
) -> None:
    place.queue("apply").wait("applied")
    repository.replace({"main.tf": MODULE.replace("count = 100", "count = 0")})

    run = place.queue("plan")
    run.wait("planned_and_finished")

    plan = plan_of(place, run.path, action="delete", limit=1)
    assert counts(plan) == {"destroy": 100}
    assert plan["resources"][0]["reason"] == "delete_because_count_index"
    assert plan["next_cursor"]


def test_the_plan_of_an_apply_is_still_there_after_it(place: Place) -> None:
    run = place.queue("apply")
    run.wait("applied")

    assert counts(plan_of(place, run.path)) == {"add": 101, "outputs": 1}


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_plan_of_many_resources_is_kept_whole(
    run_place: Callable[..., Place], count: int
) -> None:
    place = run_place({"main.tf": MODULE.replace("count = 100", f"count = {count}")})
    place.set_variable("size", "100", sensitive=True)
    place.set_variable("password", CANARY, sensitive=True)

    run = place.queue("plan")
    run.wait("planned_and_finished", seconds=150)

    assert counts(plan_of(place, run.path, limit=1)) == {"add": count + 1, "outputs": 1}
    [last] = plan_of(place, run.path, address=f"many[{count - 1}]")["resources"]
    assert last["after"]["input"] == count - 1
    raw = json.loads(place.api.send("GET", f"{run.path}/plan/json").body)
    assert len(raw["resource_changes"]) == count + 1
