"""Runs with a real provider, whose resources somebody else changes too."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import providers
from tests.support.aws import PROVIDER, Cloud
from tests.support.elsewhere import Moto
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

pytestmark = pytest.mark.timeout(280)
SECONDS = 250.0  # a provider of half a gigabyte starts several times in a run
PARAMETERS = """\
resource "aws_ssm_parameter" "changed" {
  name        = "${var.prefix}changed"
  type        = "String"
  value       = "one"
  description = "as in the sources"
}

resource "aws_ssm_parameter" "secret" {
  name  = "${var.prefix}secret"
  type  = "SecureString"
  value = "canary-before-91c2"
}

resource "aws_ssm_parameter" "gone" {
  for_each = toset(["a", "b"])
  name     = "${var.prefix}gone-${each.key}"
  type     = "String"
  value    = "one"
}

output "description" {
  value = aws_ssm_parameter.changed.description
}
"""
QUEUE = """\
resource "aws_ssm_parameter" "quick" {
  name  = "${var.prefix}quick"
  type  = "String"
  value = "one"
}

resource "aws_sqs_queue" "slow" {
  name       = "${var.prefix}slow"
  depends_on = [aws_ssm_parameter.quick]
}
"""


@pytest.fixture
def cloud(moto: Moto) -> Cloud:
    return Cloud(moto.url, f"t-{secrets.token_hex(6)}-", providers.mirror_of(PROVIDER))


@pytest.fixture
def place(
    new_stateroom: Callable[..., Stateroom], cloud: Cloud, repository: Repository, tool: Tool
) -> Place:
    """A project in an installation whose workers have the provider."""
    installation = new_stateroom(provider_mirror=cloud.mirror).start()
    place = installation.place(repository=str(repository.folder), tool=tool.name)
    cloud.give_to(place)
    return place


def drift_of(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = place.api.get(
        f"/projects/{place.project}/workspaces/{place.workspace}/drift"
    )
    return found


def detect(place: Place, **fields: Any) -> dict[str, Any]:
    """Look for drift; the run."""
    return place.queue("drift", **fields).wait("planned_and_finished", seconds=SECONDS)


def changes_of(resource: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    found = resource["attributes"]
    return {".".join(map(str, one["path"])): (one["before"], one["after"]) for one in found}


def values(place: Place, name: str) -> list[Any]:
    """The values of these parameters in the state."""
    resources = place.state.read().json()["resources"]
    [found] = [one for one in resources if one["name"] == name]
    return [instance["attributes"]["value"] for instance in found["instances"]]


def change_everything(cloud: Cloud) -> None:
    cloud.change_parameter("changed", "two", "by somebody", "String")
    cloud.change_parameter("secret", "canary-after-77ab", "", "SecureString")
    cloud.delete_parameter("gone-a")


def test_drift_is_found_by_name_without_its_secrets_and_a_refresh_takes_it_over(
    place: Place, cloud: Cloud, repository: Repository
) -> None:
    """One story, because each run starts the provider anew: nothing changed, changed, refreshed."""
    repository.replace({"main.tf": cloud.module(PARAMETERS)})
    place.queue("apply").wait("applied", seconds=SECONDS)

    nothing = detect(place, targets=["aws_ssm_parameter.changed"])
    expect_nothing(place, nothing)
    change_everything(cloud)
    versions = place.versions()
    run = place.queue("drift")
    changed = run.wait("planned_and_finished", seconds=SECONDS)
    expect_changes(place, changed)
    assert "canary" not in run.log()
    assert place.versions() == versions
    assert not place.is_locked()
    refreshed = place.queue("refresh").wait("applied", seconds=SECONDS)
    expect_taken_over(place, refreshed)
    assert cloud.parameters()["changed"] == "by somebody"
    assert set(cloud.parameters()) == {"changed", "secret", "gone-b"}


def expect_nothing(place: Place, run: dict[str, Any]) -> None:
    found = drift_of(place)
    assert run["steps"][-1]["detail"]["has_changes"] is False
    assert (found["run"], found["resources"], found["outputs"]) == (run["id"], 0, 0)
    assert found["unimportant"] > 0  # the provider reads `tags = {}` where it wrote null
    assert (found["state_is_newer"], found["partial"]) == (False, True)


def expect_changes(place: Place, run: dict[str, Any]) -> None:
    found = drift_of(place)
    assert run["steps"][-1]["detail"]["has_changes"] is True
    assert (found["run"], found["resources"], found["outputs"]) == (run["id"], 3, 1)
    assert found["partial"] is False
    by_address = {one["address"]: one for one in found["found"]["resources"]}
    assert {name: one["action"] for name, one in by_address.items()} == {
        "aws_ssm_parameter.changed": "update",
        "aws_ssm_parameter.secret": "update",
        'aws_ssm_parameter.gone["a"]': "delete",
    }
    changed = changes_of(by_address["aws_ssm_parameter.changed"])
    assert changed["description"] == ("as in the sources", "by somebody")
    assert "tags" not in changed
    hidden = changes_of(by_address["aws_ssm_parameter.secret"])["value"]
    assert hidden == ("(sensitive value)", "(sensitive value)")
    told = [(one["name"], one["after"]) for one in found["found"]["outputs"]]
    assert told == [("description", "by somebody")]
    assert "canary" not in str(found)


def expect_taken_over(place: Place, run: dict[str, Any]) -> None:
    assert len(run["state_versions"]) == 1
    assert values(place, "secret") == ["canary-after-77ab"]
    assert len(values(place, "gone")) == 1


def test_what_is_half_made_when_a_run_is_canceled_is_in_the_state_and_goes_with_a_destroy(
    place: Place, cloud: Cloud, repository: Repository
) -> None:
    repository.replace({"main.tf": cloud.module(QUEUE)})
    run = place.queue("apply")
    wait_until(lambda: cloud.queues() == ["slow"], "the queue in the cloud", seconds=SECONDS)
    run.cancel()

    run.wait("canceled", seconds=SECONDS)

    document = place.state.read().json()
    assert {one["name"] for one in document["resources"]} == {"quick", "slow"}
    assert not place.is_locked()

    place.queue("destroy").wait("applied", seconds=SECONDS)
    assert (cloud.queues(), cloud.parameters()) == ([], {})
    assert place.state.read().json()["resources"] == []
