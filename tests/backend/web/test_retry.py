from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from backend.models import Run
from tests.support.caller import Caller, refused
from tests.support.databases import one_database

INPUTS = {
    "operation": "apply",
    "ref": "release/1",
    "message": "the reason",
    "targets": ["module.m", 'a.b["k"]'],
    "replace": ["a.b[0]"],
    "auto_approve": True,
    "start_empty": True,
    "allow_older": True,
}


@pytest.fixture
def wide_shop(boss: Caller, shop: str) -> str:
    """Its template allows releases, and variables that nobody asks for."""
    boss.patch(f"{shop}/templates/app", {"allowed_refs": ["release/*"], "free_variables": True})
    return shop


def canceled(boss: Caller, shop: str, **inputs: Any) -> str:
    run: str = boss.made(f"{shop}/runs", inputs)["id"]
    boss.post(f"{shop}/runs/{run}/cancel")
    return run


def test_a_retry_has_the_same_inputs_and_names_the_run(
    boss: Caller, wide_shop: str, app: Flask
) -> None:
    old = canceled(boss, wide_shop, priority="high", **INPUTS)

    new = boss.made(f"{wide_shop}/runs/{old}/retry", {"comment": "once more"})

    assert new["status"] == "queued"
    assert new["retry_of"] == old
    assert {name: new[name] for name in INPUTS} == INPUTS
    with app.extensions["stateroom"].database.reading() as db:
        assert db.get_one(Run, new["id"]).priority == 1
    shown = boss.get(f"{wide_shop}/runs/{old}").json
    assert [(one["decision"], one["text"]) for one in shown["comments"]] == [("retry", "once more")]
    assert boss.get(f"{wide_shop}/runs/{new['id']}").json["retry_of"] == old


def test_a_retry_has_the_variables_that_the_run_was_given(boss: Caller, wide_shop: str) -> None:
    question = {"name": "sizes", "type": "choices", "choices": ["s", "m", "${l}"], "title": "Sizes"}
    boss.patch(f"{wide_shop}/templates/app", {"survey": [question]})
    given = [
        {"name": "sizes", "value": "s, ${l}"},
        {"name": "password", "value": "canary-of-a-run", "sensitive": True},
    ]
    old = canceled(boss, wide_shop, operation="plan", variables=given)

    new = boss.made(f"{wide_shop}/runs/{old}/retry")

    before, after = (
        boss.get(f"{wide_shop}/runs/{run}/variables").json["items"] for run in (old, new["id"])
    )
    assert len(after) == 2
    assert [one | {"id": "", "created_at": ""} for one in before] == [
        one | {"id": "", "created_at": ""} for one in after
    ]


@one_database
def test_only_a_run_that_has_ended_is_queued_again(boss: Caller, shop: str, app: Flask) -> None:
    run = boss.made(f"{shop}/runs")["id"]
    refused(boss.post(f"{shop}/runs/{run}/retry"), 409, "run-not-ended")
    with app.extensions["stateroom"].database.transaction() as db:
        row = db.get_one(Run, run)
        row.status, row.blocking, row.epoch = "lost", True, 1
    problem = refused(boss.post(f"{shop}/runs/{run}/retry"), 409, "run-lost")
    boss.post(f"{shop}/runs/{run}/acknowledge")

    assert f"runs acknowledge {run}" in problem["detail"]
    assert boss.made(f"{shop}/runs/{run}/retry")["retry_of"] == run


@one_database
@pytest.mark.parametrize(
    "inputs",
    [{"auto_approve": True}, {"priority": "high"}, {"operation": "export-state"}],
)
def test_who_may_not_queue_it_may_not_queue_it_again(
    boss: Caller, shop: str, inputs: dict[str, Any]
) -> None:
    planner = boss.with_scopes("runs:create", "runs:read", "state:write", project="shop")
    old = canceled(boss, shop, **inputs)

    problem = refused(planner.post(f"{shop}/runs/{old}/retry"), 403, "scope-missing")
    assert problem["scope"] == "runs:approve"
    reader = boss.with_scopes("runs:read", "runs:approve", project="shop")
    problem = refused(reader.post(f"{shop}/runs/{old}/retry"), 403, "scope-missing")
    assert problem["scope"] == "runs:create"
    assert planner.made(f"{shop}/runs/{canceled(boss, shop)}/retry")["status"] == "queued"


@one_database
def test_what_the_template_does_not_allow_any_more_is_refused(boss: Caller, wide_shop: str) -> None:
    given = [{"name": "x", "value": "1"}]
    of_a_ref = canceled(boss, wide_shop, ref="release/1")
    of_a_variable = canceled(boss, wide_shop, variables=given)
    boss.patch(f"{wide_shop}/templates/app", {"allowed_refs": [], "free_variables": False})
    planner = boss.with_scopes("runs:create", "runs:read", project="shop")

    path = f"{wide_shop}/runs/{of_a_ref}/retry"
    refused(planner.post(path), 403, "ref-not-allowed")
    problem = refused(planner.post(f"{wide_shop}/runs/{of_a_variable}/retry"), 403, "scope-missing")
    assert problem["scope"] == "templates:manage"


@one_database
def test_a_repeated_request_makes_one_retry(boss: Caller, shop: str) -> None:
    old = canceled(boss, shop)
    header = {"Idempotency-Key": "once"}

    first, second = (boss.post(f"{shop}/runs/{old}/retry", **header) for _ in range(2))

    assert first.json["id"] == second.json["id"]
    assert len(boss.get(f"{shop}/runs").json["items"]) == 2


@one_database
def test_a_stranger_and_a_missing_run_get_404(boss: Caller, shop: str, stranger: Caller) -> None:
    old = canceled(boss, shop)

    refused(stranger.post(f"{shop}/runs/{old}/retry"), 404, "not-found")
    refused(boss.post(f"{shop}/runs/run_nothing/retry"), 404, "not-found")
    refused(boss.post(f"{shop}/runs/{old}/retry", {"comment": 1}), 422, "invalid-request")
