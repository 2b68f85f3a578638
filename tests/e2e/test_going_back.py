"""A run never takes back what the last apply made, unless somebody approves that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.place import Place
from tests.support.repositories import Repository

TWO = {
    "main.tf": 'resource "terraform_data" "old" {}\n',
    "new.tf": 'resource "terraform_data" "new" {}\n',
}


@pytest.fixture
def applied(run_place: Callable[..., Place], repository: Repository) -> Place:
    """A workspace where the second commit of main was applied; the first lacks `new`."""
    repository.replace({"main.tf": TWO["main.tf"]})
    repository._git("branch", "feature")
    place = run_place(allowed_refs=["feature"])
    repository.commit(TWO)
    place.queue("apply").wait("applied")
    return place


def resources(place: Place) -> list[str]:
    return sorted(resource["name"] for resource in place.state.read().json()["resources"])


def change_template(place: Place, **fields: Any) -> None:
    place.api.patch(f"/projects/{place.project}/templates/module", **fields)


def test_a_branch_that_lacks_what_was_applied_waits_for_an_approval(
    applied: Place, repository: Repository
) -> None:
    newest = repository._git("rev-parse", "HEAD")

    run = applied.queue("apply", ref="feature", auto_approve=True)
    planned = run.wait("planned")

    assert planned["goes_back"]["reason"] == "commit"
    assert planned["goes_back"]["commit"] == newest
    assert planned["goes_back"]["deletes"] == ["terraform_data.new"]
    assert "terraform_data.new" in planned["goes_back"]["message"]
    assert planned["changes"]["destroy"] == 1
    assert resources(applied) == ["new", "old"]
    assert not applied.is_locked()
    run.approve()
    run.wait("applied")
    assert resources(applied) == ["old"]


def test_it_is_applied_when_somebody_asks_for_it_and_is_the_last_apply_then(
    applied: Place,
) -> None:
    asked = applied.queue("apply", ref="feature", allow_older=True).wait("applied")
    again = applied.queue("apply", ref="feature").wait("planned_and_finished")

    assert asked["allow_older"] is True
    assert asked["goes_back"]["reason"] == "commit"
    assert resources(applied) == ["old"]
    assert again["goes_back"] is None


def test_a_plan_of_an_older_commit_says_so(applied: Place, repository: Repository) -> None:
    older = repository._git("rev-parse", "HEAD~1")

    planned = applied.queue("plan", ref=older).wait("planned_and_finished")

    assert any(said in planned["goes_back"]["message"] for said in planned["warnings"])


def test_what_comes_after_the_last_apply_is_applied(applied: Place, repository: Repository) -> None:
    for number in range(3):
        repository.commit({"main.tf": TWO["main.tf"] + f"# {number}\n"})
    repository.commit({"newer.tf": 'resource "terraform_data" "newer" {}\n'})

    ended = applied.queue("apply").wait("applied")

    assert ended["goes_back"] is None
    assert resources(applied) == ["new", "newer", "old"]


def test_an_apply_that_failed_counts_too(applied: Place, repository: Repository) -> None:
    repository.commit(
        {"bad.tf": 'resource "terraform_data" "bad" {\n  provisioner "local-exec" {\n'
                   '    command = "false"\n  }\n}\n'}
    )  # fmt: skip
    failed = applied.queue("apply").wait("errored")

    planned = applied.queue("apply", ref=repository._git("rev-parse", "HEAD~1")).wait("planned")

    assert failed["error"]["code"] == "apply-failed"
    assert planned["goes_back"]["run"] == failed["id"]


@pytest.mark.parametrize("reason", ["path", "repository"])
def test_another_folder_or_repository_is_another_source(
    applied: Place, repository: Repository, tmp_path: Path, reason: str
) -> None:
    newer = {"newer.tf": 'resource "terraform_data" "newer" {}\n'}
    fork = Repository(tmp_path / "fork", TWO | newer)
    repository.commit({f"moved/{name}": text for name, text in (TWO | newer).items()})
    fields = {"path": {"path": "moved"}, "repository": {"repository": str(fork.folder)}}[reason]
    change_template(applied, **fields)

    waiting = applied.queue("apply")
    planned = waiting.wait("planned")
    waiting.discard()
    asked = applied.queue("apply", allow_older=True).wait("applied")
    after = applied.queue("plan").wait("planned_and_finished")

    assert planned["goes_back"]["reason"] == reason
    assert asked["goes_back"]["reason"] == reason
    assert after["goes_back"] is None


def test_a_destroy_is_warned_and_done_and_nothing_is_left_to_go_back_behind(
    applied: Place,
) -> None:
    destroyed = applied.queue("destroy", ref="feature").wait("applied")
    fresh = applied.queue("apply", ref="feature").wait("applied")

    assert destroyed["goes_back"]["reason"] == "commit"
    assert fresh["goes_back"] is None
    assert resources(applied) == ["old"]
