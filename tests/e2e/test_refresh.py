"""A refresh writes what there is into the state, and a drift detection writes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.place import Place
from tests.support.repositories import Repository

MODULE = """\
variable "word" {
  default = "one"
}

resource "terraform_data" "a" {
  input = var.word
}

output "word" {
  value = var.word
}
"""


@pytest.fixture
def applied(run_place: Callable[..., Place]) -> Place:
    place = run_place({"main.tf": MODULE})
    place.queue("apply").wait("applied")
    return place


def test_a_refresh_writes_outputs_and_leaves_resources_as_they_are(applied: Place) -> None:
    applied.set_variable("word", "two")

    ended = applied.queue("refresh").wait("applied")

    document = applied.state.read().json()
    assert document["outputs"]["word"]["value"] == "two"
    assert document["resources"][0]["instances"][0]["attributes"]["input"]["value"] == "one"
    assert len(ended["state_versions"]) == 1
    assert ended["goes_back"] is None


def test_a_refresh_waits_for_an_approval(applied: Place) -> None:
    versions = applied.versions()
    applied.set_variable("word", "two")

    run = applied.queue("refresh", auto_approve=False)
    run.wait("planned")
    meanwhile = applied.versions()
    applied.api.post(f"{run.path}/approve")
    run.wait("applied")

    assert meanwhile == versions
    assert len(applied.versions()) == len(versions) + 1


def test_a_refresh_without_news_writes_nothing(applied: Place) -> None:
    versions = applied.versions()

    ended = applied.queue("refresh", targets=["terraform_data.a"]).wait("planned_and_finished")

    assert ended["state_versions"] == []
    assert applied.versions() == versions


def test_a_drift_detection_writes_nothing_and_needs_no_approval(applied: Place) -> None:
    versions = applied.versions()
    applied.set_variable("word", "two")

    ended = applied.queue("drift").wait("planned_and_finished")

    assert ended["steps"][-1]["detail"]["has_changes"] is True
    assert [step["name"] for step in ended["steps"]][-1] == "plan"
    assert applied.versions() == versions
    assert not applied.is_locked()


def test_what_was_only_refreshed_was_not_applied(applied: Place, repository: Repository) -> None:
    first = repository._git("rev-parse", "HEAD")
    repository.commit({"more.tf": 'output "more" {\n  value = 1\n}\n'})
    refreshed = applied.queue("refresh").wait("applied")

    planned = applied.queue("plan", ref=first).wait("planned_and_finished")

    assert refreshed["commit"] != first
    assert planned["goes_back"] is None
