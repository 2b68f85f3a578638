"""What people decide about runs on their pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.form_fields import fields_of
from tests.support.staged import planned, queued, staged
from tests.support.visitor import Visitor, words

pytestmark = one_database

RUNS = "/projects/shop/runs"


def run_of(boss: Caller, run: str) -> dict[str, Any]:
    found: dict[str, Any] = boss.get(f"{RUNS}/{run}").json
    return found


def test_an_approval_is_given_with_a_comment(
    boss: Caller, app: Flask, shop: str, visitor_of: Callable[..., Visitor]
) -> None:
    run, manager = planned(app), visitor_of("manager")

    there = manager.done(f"{RUNS}/{run}/approve", {"comment": "Looks good"})

    found = run_of(boss, run)
    assert there == f"{RUNS}/{run}"
    assert found["approved_by"] == "visitor-manager-false"
    [comment] = found["comments"]
    assert (comment["decision"], comment["text"]) == ("approve", "Looks good")
    assert "The plan is approved" in words(manager.read(there))


def test_of_two_people_one_approves_and_the_other_is_told_who_did(
    app: Flask, shop: str, visitor_of: Callable[..., Visitor]
) -> None:
    run, first, second = planned(app), visitor_of("manager"), visitor_of("owner")
    first.done(f"{RUNS}/{run}/approve")

    answer = second.send(f"{RUNS}/{run}/approve", headers={"HX-Request": "true"})

    assert answer.status_code == 409
    assert "approved already, by visitor-manager-false" in words(answer.get_data(as_text=True))


def test_a_discarded_plan_changes_nothing(
    boss: Caller, app: Flask, shop: str, visitor_of: Callable[..., Visitor]
) -> None:
    run = planned(app)

    visitor_of("task_runner").done(f"{RUNS}/{run}/discard", {"comment": "Too much"})

    found = run_of(boss, run)
    assert found["status"] == "discarded"
    assert found["comments"][0]["text"] == "Too much"


@pytest.mark.parametrize("typed", ["", "App", "app ", "another"])
def test_a_destroy_is_approved_only_with_the_name_of_its_workspace(
    boss: Caller, app: Flask, shop: str, owner: Visitor, typed: str
) -> None:
    run = planned(app, operation="destroy")

    answer = owner.send(f"{RUNS}/{run}/approve", {"typed": typed})

    assert answer.status_code == 422
    assert "typed-name-wrong" in answer.get_data(as_text=True)
    assert run_of(boss, run)["approved_at"] is None
    owner.done(f"{RUNS}/{run}/approve", {"typed": "app"})
    assert run_of(boss, run)["approved_at"] is not None


def test_an_apply_that_may_destroy_everything_asks_for_the_name_too(
    app: Flask, shop: str, owner: Visitor
) -> None:
    run = planned(app, changes={"add": 0, "change": 0, "destroy": 3, "replace": 0})

    assert 'name="typed"' in owner.read(f"{RUNS}/{run}")
    assert owner.send(f"{RUNS}/{run}/approve").status_code == 422


def test_a_broken_rule_is_overruled_in_so_many_words(
    boss: Caller, app: Flask, shop: str, owner: Visitor
) -> None:
    finding = {"rule": "protected", "message": "It destroys db.", "decision": "ask"}
    run = planned(app, findings=[finding])

    refused = owner.send(f"{RUNS}/{run}/approve", {"overrule": "false"})
    owner.done(f"{RUNS}/{run}/approve", {"overrule": ["false", "true"]})

    assert refused.status_code == 409
    assert "It destroys db." in words(refused.get_data(as_text=True))
    assert run_of(boss, run)["approved_at"] is not None


def test_a_plan_that_is_stale_ends_its_run_and_says_why(
    boss: Caller, app: Flask, shop: str, owner: Visitor
) -> None:
    run = planned(app)
    boss.patch(f"{shop}/templates/app", {"path": "elsewhere"})

    answer = owner.send(f"{RUNS}/{run}/approve")

    assert answer.status_code == 409
    assert "changed since: the template" in words(answer.get_data(as_text=True))
    assert run_of(boss, run)["status"] == "stale"
    assert "The plan is stale" in words(owner.read(f"{RUNS}/{run}"))


def test_a_queued_run_is_canceled_at_once(
    boss: Caller, app: Flask, visitor_of: Callable[..., Visitor]
) -> None:
    run, runner = queued(boss, app), visitor_of("task_runner")

    there = runner.done(f"{RUNS}/{run}/cancel", {"comment": "Not today"})

    assert "The run is canceled." in words(runner.read(there))
    assert run_of(boss, run)["status"] == "canceled"


def test_a_run_at_work_is_asked_to_stop_and_then_killed(
    boss: Caller, app: Flask, visitor_of: Callable[..., Visitor]
) -> None:
    run, runner = queued(boss, app, status="applying", epoch=1), visitor_of("task_runner")

    there = runner.done(f"{RUNS}/{run}/cancel")
    assert "The run is asked to stop." in words(runner.read(there))
    runner.done(f"{RUNS}/{run}/force-cancel")

    assert run_of(boss, run)["cancel_requested_at"] is not None
    assert f'action="{RUNS}/{run}/cancel"' not in runner.read(there)


def test_a_lost_run_is_acknowledged(
    boss: Caller, app: Flask, visitor_of: Callable[..., Visitor]
) -> None:
    run = queued(boss, app, status="lost", blocking=True, epoch=1)
    manager = visitor_of("manager")
    assert "Its worker vanished" in words(manager.read(f"{RUNS}/{run}"))

    manager.done(f"{RUNS}/{run}/acknowledge", {"comment": "All is well"})

    assert run_of(boss, run)["acknowledged_at"] is not None
    assert f'action="{RUNS}/{run}/retry"' in manager.read(f"{RUNS}/{run}")


def test_a_retry_that_is_sent_twice_queues_one_run(
    boss: Caller, app: Flask, owner: Visitor
) -> None:
    run = queued(boss, app, {"message": "Why not"}, status="errored", finished_at=datetime.now(UTC))
    fields = fields_of(owner.read(f"{RUNS}/{run}"), f"{RUNS}/{run}/retry")

    first, second = (owner.done(f"{RUNS}/{run}/retry", fields) for _ in range(2))

    assert first == second
    again = run_of(boss, first.rpartition("/")[2])
    assert (again["retry_of"], again["message"]) == (run, "Why not")
    assert "once more after" in words(owner.read(first))


def test_a_comment_is_seen_by_everybody_who_sees_the_run(
    boss: Caller, app: Flask, visitor_of: Callable[..., Visitor]
) -> None:
    run = queued(boss, app)

    there = visitor_of("task_runner").done(f"{RUNS}/{run}/comments", {"text": "Why this?"})

    assert there == f"{RUNS}/{run}#comments"
    assert "visitor-task_runner-false just now Why this?" in words(
        visitor_of("guest").read(f"{RUNS}/{run}")
    )


@pytest.mark.parametrize(
    "verb",
    ["approve", "discard", "cancel", "force-cancel", "acknowledge", "retry", "comments"],
)
def test_a_guest_decides_nothing_and_a_stranger_finds_nothing(
    app: Flask, shop: str, visitor_of: Callable[..., Visitor], verb: str
) -> None:
    path, fields = f"{RUNS}/{planned(app)}/{verb}", {"text": "x"}

    assert visitor_of("guest").send(path, fields).status_code == 403
    assert visitor_of(None).send(path, fields).status_code == 404


def test_what_has_ended_is_not_decided_again(boss: Caller, app: Flask, owner: Visitor) -> None:
    run = queued(boss, app, status="applied", epoch=1)

    for verb in ("approve", "discard", "cancel", "force-cancel", "acknowledge"):
        assert owner.send(f"{RUNS}/{run}/{verb}").status_code == 409, verb
    staged(app, run, status="lost", blocking=True)
    assert owner.send(f"{RUNS}/{run}/retry").status_code == 409


def test_a_destroy_without_an_approval_wants_the_name_when_it_is_queued(
    boss: Caller, app: Flask, owner: Visitor, shop: str
) -> None:
    fields = {"workspace": "app", "operation": "destroy", "auto_approve": "true"}
    refused = owner.send(f"{RUNS}/new", fields)
    there = owner.done(f"{RUNS}/new", fields | {"typed": "app"})
    run = staged(app, there.rpartition("/")[2], status="errored")
    again = owner.send(f"{RUNS}/{run}/retry")

    assert refused.status_code == again.status_code == 422
    assert "without an approval" in words(owner.read(f"{RUNS}/{run}"))
    owner.done(f"{RUNS}/{run}/retry", {"typed": "app"})
