"""Addresses that match nothing are told."""

from __future__ import annotations

import json

import pytest

from runner.plans import selected
from runner.plans.plan_read import PlanRead
from tests.support.plans import plan_json, read_plan, resource

KNOWN = (
    "terraform_data.a",
    'terraform_data.b["x"]',
    'terraform_data.b["k.[0] \\"q\\""]',
    'module.m["k"].terraform_data.d[0]',
)


@pytest.fixture
def plan() -> PlanRead:
    changes = [
        resource("a.b", actions=["no-op"]) | {"address": address, "action_reason": None}
        for address in KNOWN
    ]
    changes[0]["action_reason"] = "replace_by_request"
    return read_plan(plan_json(*json.loads(json.dumps(changes))))


@pytest.mark.parametrize(
    "target",
    [*KNOWN, "terraform_data.b", "module.m", 'module.m["k"]', 'module.m["k"].terraform_data.d'],
)
def test_a_target_that_matches_is_not_told(plan: PlanRead, target: str) -> None:
    assert list(selected.warnings(plan, [target], [])) == []


@pytest.mark.parametrize(
    "target",
    [
        "terraform_data.c",
        "terraform_data.a[0]",
        'terraform_data.b["y"]',
        "terraform_data.bb",
        "module.mm",
        "module.m.terraform_data.d",  # as the tools see it: the module has keys
    ],
)
def test_a_target_that_matches_nothing_is_told(plan: PlanRead, target: str) -> None:
    [warning] = selected.warnings(plan, [target], [])

    assert f"The target {target} matches no resource" in warning


def test_what_is_not_replaced_is_told(plan: PlanRead) -> None:
    [warning] = selected.warnings(plan, [], ["terraform_data.a", "terraform_data.nope"])

    assert warning.startswith("terraform_data.nope is not replaced")


@pytest.mark.parametrize("target", ["data.x.y", "module.m.data.x.y", 'terraform_data.b["\\u0078"]'])
def test_what_cannot_be_compared_is_not_judged(plan: PlanRead, target: str) -> None:
    assert list(selected.warnings(plan, [target], [])) == []
