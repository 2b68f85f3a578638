"""A ref is a permission: what nobody merged gets neither to run nor to the secrets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.api import Refused
from tests.support.place import Place
from tests.support.repositories import Repository

MODULE = """\
variable "password" {
  sensitive = true
  default   = "none was given"
}

variable "region" {
  default = "none was given"
}

output "told" {
  value = nonsensitive("password=${var.password} region=${var.region}")
}
"""
SECRET = "correct-horse-battery"


@pytest.fixture
def proposed(repository: Repository) -> Callable[[], str]:
    """Somebody opens a pull request; its commit."""

    def propose() -> str:
        commit = repository.branch("fork", {"more.tf": 'output "proposed" { value = 1 }'})
        repository._git("update-ref", "refs/pull/7/head", commit)
        repository._git("branch", "-q", "-D", "fork")
        return commit

    return propose


@pytest.fixture
def place(run_place: Callable[..., Place]) -> Place:
    place = run_place({"main.tf": MODULE}, ref="main")
    place.set_variable("password", SECRET, sensitive=True)
    place.set_variable("region", "eu-central-1")
    return place


def allow(place: Place, *patterns: str, **fields: object) -> None:
    template = f"/projects/{place.project}/templates/module"
    place.api.patch(template, allowed_refs=list(patterns), **fields)


def told(place: Place) -> str:
    value: str = place.state.read().json()["outputs"]["told"]["value"]
    return value


def test_the_commit_of_a_pull_request_does_not_run(
    place: Place, proposed: Callable[[], str]
) -> None:
    run = place.queue("apply", ref=proposed())

    ended = run.wait("errored")

    assert ended["error"]["code"] == "ref-not-allowed"
    assert ended["ref_rule"] is None
    assert [step["name"] for step in run.steps()] == ["clone"]
    assert place.versions() == []


def test_a_pull_request_that_is_allowed_runs_without_what_is_sensitive(
    place: Place, proposed: Callable[[], str]
) -> None:
    proposed()
    with pytest.raises(Refused) as refusal:
        place.queue("plan", ref="refs/pull/7/head")
    allow(place, "refs/pull/*/head")

    run = place.queue("apply", ref="refs/pull/7/head")
    ended = run.wait("applied")

    assert refusal.value.problem["code"] == "ref-not-allowed"
    assert ended["ref_rule"] == "refs/pull/*/head"
    assert told(place) == "password=none was given region=eu-central-1"
    assert any("marked sensitive: password" in warning for warning in ended["warnings"])


def test_a_pull_request_gets_what_is_sensitive_when_that_is_chosen(
    place: Place, proposed: Callable[[], str]
) -> None:
    proposed()
    allow(place, "any", secrets_for_pull_requests=True)

    place.queue("apply", ref="refs/pull/7/head").wait("applied")

    assert told(place) == f"password={SECRET} region=eu-central-1"


def test_a_commit_of_the_templates_branch_runs_with_everything(
    place: Place, repository: Repository
) -> None:
    commit = repository._git("rev-parse", "HEAD")
    repository.commit({"later.tf": ""})

    ended = place.queue("apply", ref=commit).wait("applied")

    assert (ended["commit"], ended["ref_rule"]) == (commit, "own")
    assert told(place) == f"password={SECRET} region=eu-central-1"
