"""The rules of a template against plans of the real tool."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from backend.catalogue.windows import DAYS
from backend.db import now
from backend.models import Run
from tests.support.api import Refused
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.queued_run import QueuedRun
from tests.support.shown import at, shown

MODULE = """\
variable "word" {
  default = "one"
}

resource "terraform_data" "a" {
  triggers_replace = var.word
}

module "prod" {
  source = "./prod"
  word   = var.word
}
"""
PROD = """\
variable "word" {}

resource "terraform_data" "db" {
  for_each         = toset(["eu"])
  triggers_replace = var.word
}
"""
DB = 'module.prod.terraform_data.db["eu"]'


@pytest.fixture
def applied(run_place: Callable[..., Place]) -> Place:
    """Everything is made, and the next plan replaces all of it."""
    place = run_place({"main.tf": MODULE, "prod/main.tf": PROD})
    place.queue().wait("applied")
    place.set_variable("word", "two")
    return place


def set_rules(place: Place, **rules: Any) -> None:
    place.api.patch(f"/projects/{place.project}/templates/module", rules=rules)


def closed_now() -> list[dict[str, Any]]:
    later = (datetime.now(UTC) + timedelta(days=3)).weekday()
    return [{"zone": "UTC", "days": [DAYS[later]]}]


def found(run: QueuedRun) -> list[tuple[str, str]]:
    return [(one["rule"], one["decision"]) for one in run.api.get(run.path)["findings"]]


def test_what_breaks_a_rule_is_refused_before_anything_is_changed(applied: Place) -> None:
    before = applied.versions()
    set_rules(applied, allow_destroys=False, protected=["module.prod.**"])

    run = applied.queue()
    run.wait("errored")
    told = shown(applied, run)

    assert told["error"] == "rule-broken"
    assert "2 resources" in told["what is wrong"]
    assert DB in told["what is wrong"]
    assert f"stateroom templates set -p {applied.project} module --rules FILE" in told["do next"]
    assert found(run) == [("allow_destroys", "refuse"), ("protected", "refuse")]
    assert applied.versions() == before
    assert not applied.is_locked()


def test_a_plan_says_which_rules_an_apply_would_break(applied: Place) -> None:
    set_rules(applied, most_destroys=1)

    run = applied.queue("plan")
    run.wait("planned_and_finished")
    plan = run.api.get(f"{run.path}/plan")
    printed = at(applied).must("runs", "plan", run.id)

    assert found(run) == [("most_destroys", "refuse")]
    assert plan["findings"] == run.api.get(run.path)["findings"]
    assert f"Rule most_destroys: {plan['findings'][0]['message']}\n" in printed


def test_a_rule_that_asks_waits_for_who_overrules_it(applied: Place) -> None:
    set_rules(applied, protected=["module.prod.terraform_data.db"], if_broken="ask")

    run = applied.queue()
    waits = run.wait("planned")
    with pytest.raises(Refused) as refused:
        run.approve()
    run.approve(overrule=True, comment="It is empty.")
    run.wait("applied")

    assert waits["approved_at"] is None
    assert waits["waiting_for"][0]["message"].endswith("--overrule`")
    assert refused.value.problem["code"] == "rule-broken"
    assert DB in refused.value.problem["detail"]


def test_a_change_of_a_type_that_needs_a_person_is_not_applied_by_itself(applied: Place) -> None:
    set_rules(applied, approval_types=["terraform_*"])

    run = applied.queue()
    run.wait("planned")
    run.approve()
    run.wait("applied")

    assert found(run) == [("approval_types", "approval")]


def test_an_approved_run_begins_when_a_window_opens(applied: Place) -> None:
    set_rules(applied, windows=closed_now())

    run = applied.queue()
    waits = run.wait("planned")
    reasons = [one["kind"] for one in applied.api.get(run.path)["waiting_for"]]
    set_rules(applied, windows=[{"zone": "UTC"}])
    run.wait("applied")

    assert waits["approved_at"] is not None
    assert datetime.fromisoformat(waits["not_before"]) > datetime.now(UTC)
    assert "window" in reasons


def test_a_plan_that_nobody_approved_in_time_is_discarded(applied: Place) -> None:
    set_rules(applied, approval_hours=5)
    run = applied.queue(auto_approve=False)
    waits = run.wait("planned")

    with applied.looking() as database, database.transaction() as db:
        moment = now(-timedelta(hours=6))
        db.execute(update(Run).where(Run.id == run.id).values(planned_at=moment))
    wait_until(lambda: run.status() == "discarded", "the plan to be discarded", seconds=60)

    assert waits["approve_before"] is not None
    [said] = applied.api.get(run.path)["comments"]
    assert said["created_by"] == "stateroom"


def test_who_queued_a_run_waits_for_a_second_person(applied: Place) -> None:
    set_rules(applied, second_person=True)
    (ann, as_ann), (bob, as_bob) = applied.member("manager"), applied.member("manager")

    run = applied.queue(by=as_ann)
    waits = run.wait("planned")
    with pytest.raises(Refused) as refused:
        run.approve()
    told = at(applied).must("runs", "show", run.id)
    as_bob.post(f"{run.path}/approve", comment="I have looked at it.")
    ended = run.wait("applied")

    assert (waits["created_by"], waits["approved_at"]) == (ann, None)
    assert refused.value.problem["code"] == "second-person"
    assert f"somebody else than {ann}" in told
    assert ended["approved_by"] == bob
    assert found(run) == [("second_person", "approval")]
