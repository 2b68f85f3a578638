"""Runs that are about a part of the configuration, and make resources again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.place import Place

MODULE = """\
variable "word" {
  default = "one"
}

resource "terraform_data" "a" {
  input = var.word
}

resource "terraform_data" "b" {
  for_each = toset(["x", "k.[0] \\"q\\""])
  input    = var.word
}

module "m" {
  source = "./m"
  word   = var.word
}
"""
INNER = """\
variable "word" {}

resource "terraform_data" "c" {
  count = 2
  input = var.word
}
"""
A, QUOTED = "terraform_data.a", 'terraform_data.b["k.[0] \\"q\\""]'


@pytest.fixture
def applied(run_place: Callable[..., Place]) -> Place:
    place = run_place({"main.tf": MODULE, "m/main.tf": INNER})
    place.queue("apply").wait("applied")
    return place


def instances(place: Place) -> dict[str, dict[str, Any]]:
    """The attributes of each instance in the state, by its address."""
    found = {}
    for resource in place.state.read().json()["resources"]:
        module = f"{resource['module']}." if "module" in resource else ""
        for instance in resource["instances"]:
            key = instance.get("index_key")
            quoted = f'["{key}"]'.replace('"q"', '\\"q\\"') if isinstance(key, str) else f"[{key}]"
            name = f"{module}{resource['type']}.{resource['name']}"
            found[name if key is None else name + quoted] = instance["attributes"]
    return found


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_only_the_targets_are_changed_and_the_run_says_that_the_plan_is_incomplete(
    applied: Place,
) -> None:
    before = instances(applied)
    applied.set_variable("word", "two")

    ended = applied.queue("apply", targets=[QUOTED, "module.m.terraform_data.c[1]"]).wait("applied")

    after = instances(applied)
    assert changed(before, after) == {QUOTED, "module.m.terraform_data.c[1]"}
    assert after[QUOTED]["input"]["value"] == "two"
    assert ended["targets"] == [QUOTED, "module.m.terraform_data.c[1]"]
    assert [w for w in ended["warnings"] if "The plan is incomplete" in w]


def test_a_target_without_changes_has_nothing_to_apply(applied: Place) -> None:
    versions = len(applied.versions())
    applied.queue("apply", targets=["module.m"]).wait("planned_and_finished")

    applied.set_variable("word", "two")
    planned = applied.queue("plan", targets=[A]).wait("planned_and_finished")

    assert planned["changes"]["change"] == 1
    assert planned["steps"][-1]["detail"]["has_changes"] is True
    assert len(applied.versions()) == versions


def test_what_is_to_be_replaced_is_made_again_and_nothing_else(applied: Place) -> None:
    before = instances(applied)

    ended = applied.queue("apply", replace=[QUOTED, "module.m.terraform_data.c[0]"]).wait("applied")

    after = instances(applied)
    assert ended["replace"] == [QUOTED, "module.m.terraform_data.c[0]"]
    assert changed(before, after) == {QUOTED, "module.m.terraform_data.c[0]"}
    assert before[QUOTED]["id"] != after[QUOTED]["id"]
    assert not [w for w in ended["warnings"] if "The plan is incomplete" in w]


def test_a_targeted_destroy_destroys_the_targets_only(applied: Place) -> None:
    before = instances(applied)

    applied.queue("destroy", targets=["module.m"]).wait("applied")

    assert set(instances(applied)) == {n for n in before if not n.startswith("module.")}


def test_addresses_that_match_nothing_are_told(applied: Place) -> None:
    wrong = ["terraform_data.aa", "module.m.terraform_data.c[7]"]

    ended = applied.queue("plan", targets=[A, *wrong], replace=["terraform_data.b"])

    said = " ".join(ended.wait("planned_and_finished")["warnings"])
    assert all(f"The target {address} matches no resource" in said for address in wrong)
    assert f"The target {A} " not in said
    assert "terraform_data.b is not replaced" in said


def test_no_address_becomes_another_option_of_the_tool(applied: Place) -> None:
    path = f"/projects/{applied.project}/workspaces/{applied.workspace}/runs"
    for address in ("-x", "-destroy", "--help", "a.b -destroy", "a.b\n-destroy", ""):
        for field in ("targets", "replace"):
            answer = applied.api.send("POST", path, {"operation": "plan", field: [address]})
            assert answer.status == 422, answer

    shown = applied.queue("plan", targets=['terraform_data.b["-destroy"]', A])
    ended = shown.wait("planned_and_finished")

    assert ended["changes"]["destroy"] == 0
