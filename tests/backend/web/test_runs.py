from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from backend.models import Run
from backend.runs import claims, logs, moves, steps
from backend.runs.steps import Event
from backend.transactions import Transaction
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import new_person


def test_an_empty_installation_is_three_calls_from_its_first_run(boss: Caller) -> None:
    boss.made("/projects", {"name": "shop"})
    boss.made("/projects/shop/templates", {"repository": "https://git.example.com/team/app"})
    run = boss.made("/projects/shop/runs")

    assert run["status"] == "queued"
    assert run["operation"] == "apply"
    assert run["workspace"]["name"] == "app"
    assert boss.get(f"/projects/shop/runs/{run['id']}").json == run


def test_a_run_is_queued_in_a_named_workspace_or_in_a_templates_own(
    boss: Caller, shop: str
) -> None:
    boss.made(f"{shop}/workspaces", {"template": "app", "name": "second"})
    boss.made(f"{shop}/templates", {"repository": "https://git.example.com/team/net"})

    named = boss.made(f"{shop}/runs", {"workspace": "second", "operation": "plan"})
    shortcut = boss.made(f"{shop}/workspaces/second/runs", {"operation": "destroy"})
    templates = boss.made(f"{shop}/runs", {"template": "net", "message": "try"})

    assert (named["workspace"]["name"], named["operation"]) == ("second", "plan")
    assert (shortcut["workspace"]["name"], shortcut["operation"]) == ("second", "destroy")
    assert (templates["workspace"]["name"], templates["message"]) == ("net", "try")


@one_database
def test_targets_and_replaced_resources_are_kept_and_shown(boss: Caller, shop: str) -> None:
    asked = {"targets": ["module.m", 'a.b["k"]'], "replace": ["a.b[0]"], "message": "why"}

    run = boss.made(f"{shop}/runs", asked)
    problem = refused(boss.post(f"{shop}/runs", {"replace": ["a.b.c"]}), 422, "target-invalid")

    listed = boss.get(f"{shop}/runs").json["items"]
    assert [asked | one for one in listed] == listed
    assert asked | run == run
    assert (problem["field"], problem["index"], problem["position"]) == ("replace", 0, 4)


def test_a_run_behind_another_names_it(boss: Caller, shop: str) -> None:
    first = boss.made(f"{shop}/runs")
    second = boss.made(f"{shop}/runs")

    assert first["blocked_by"] is None
    assert second["blocked_by"] == first["id"]


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"operation": "explode"}, "invalid-request"),
        ({"operation": None}, "invalid-request"),
        ({"workspace": "nothing"}, "no-workspace"),
        ({"template": "nothing"}, "no-template"),
        ({"workspace": "app", "template": "net"}, "no-workspace"),
        ({"ref": "-x"}, "ref-invalid"),
        ({"message": "x\x00"}, "invalid-request"),
        ({"approve": True}, "invalid-request"),
        ({"targets": "a.b"}, "invalid-request"),
        ({"targets": [""]}, "invalid-request"),
        ({"replace": ["a.b"] * 101}, "invalid-request"),
        ({"targets": ["a.b", "-x"]}, "target-invalid"),
        ({"operation": "import-state", "targets": ["a.b"]}, "target-useless"),
        ({"operation": "destroy", "replace": ["a.b"]}, "replace-useless"),
    ],
)
def test_a_wrong_body_is_refused(boss: Caller, shop: str, body: dict[str, Any], code: str) -> None:
    boss.made(f"{shop}/templates", {"repository": "https://git.example.com/team/net"})

    refused(boss.post(f"{shop}/runs", body), 422, code)

    assert boss.get(f"{shop}/runs").json["items"] == []


@one_database
def test_a_project_without_a_workspace_asks_for_one(boss: Caller) -> None:
    boss.made("/projects", {"name": "empty"})

    refused(boss.post("/projects/empty/runs"), 422, "no-workspace")


def test_runs_are_listed_newest_first_and_filtered(boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/workspaces", {"template": "app", "name": "second"})
    old = boss.made(f"{shop}/runs")["id"]
    new = boss.made(f"{shop}/runs", {"workspace": "second"})["id"]
    boss.post(f"{shop}/runs/{old}/cancel")

    def ids(**query: str) -> list[str]:
        return [run["id"] for run in boss.get(f"{shop}/runs", **query).json["items"]]

    assert ids() == [new, old]
    assert ids(workspace="second") == [new]
    assert ids(status="canceled") == [old]
    refused(boss.get(f"{shop}/runs", status="happy"), 422, "invalid-request")
    refused(boss.get(f"{shop}/runs", workspace="nothing"), 404, "not-found")


@one_database
def test_runs_are_filtered_by_template_operation_who_queued_them_and_groups_of_statuses(
    boss: Caller, shop: str, app: Flask
) -> None:
    boss.made(f"{shop}/templates", {"repository": "https://git.example.com/team/net"})
    ann = new_person(boss, "ann", shop="task_runner")
    made = {
        "hers": ann.made(f"{shop}/runs", {"operation": "plan"})["id"],
        "net": boss.made(f"{shop}/runs", {"template": "net"})["id"],
        **{status: boss.made(f"{shop}/runs")["id"] for status in ("planned", "lost", "applying")},
    }
    with app.extensions["stateroom"].database.transaction() as db:
        for status in ("planned", "lost", "applying"):
            db.get_one(Run, made[status]).status = status

    def found(**query: str) -> set[str]:
        ids = {run["id"] for run in boss.get(f"{shop}/runs", **query).json["items"]}
        return {name for name, run in made.items() if run in ids}

    assert found(template="net") == {"net"}
    assert found(operation="plan") == found(created_by="ann") == {"hers"}
    assert found(status="undecided") == {"planned", "lost"}
    assert found(status="waiting") == {"hers", "net"}
    assert found(status="at_work") == {"applying"}
    assert found(status="failed") == {"lost"}
    boss.post(f"{shop}/runs/{made['lost']}/acknowledge")
    assert found(status="undecided") == {"planned"}
    refused(boss.get(f"{shop}/runs", template="nothing"), 404, "not-found")
    refused(boss.get(f"{shop}/runs", operation="nothing"), 422, "invalid-request")


def test_a_queued_run_is_canceled_at_once_and_only_once(boss: Caller, shop: str) -> None:
    run = boss.made(f"{shop}/runs")

    canceled = boss.post(f"{shop}/runs/{run['id']}/cancel")

    assert canceled.json["status"] == "canceled"
    refused(boss.post(f"{shop}/runs/{run['id']}/force-cancel"), 409, "run-ended")


def test_only_a_lost_run_is_acknowledged(boss: Caller, shop: str, app: Flask) -> None:
    run = boss.made(f"{shop}/runs")
    refused(boss.post(f"{shop}/runs/{run['id']}/acknowledge"), 409, "conflict")
    with app.extensions["stateroom"].database.transaction() as db:
        row = db.get_one(Run, run["id"])
        row.status, row.blocking, row.epoch = "lost", True, 1

    answer = boss.post(f"{shop}/runs/{run['id']}/acknowledge")

    assert answer.json["acknowledged_at"] is not None
    assert answer.json["status"] == "lost"


@contextmanager
def told_by(run_id: str, app: Flask) -> Iterator[Transaction]:
    """A transaction of the run itself, whatever its status."""
    with app.extensions["stateroom"].itself.transaction() as tx:
        yield replace(tx, principal=claims.itself(tx.db.get_one(Run, run_id)))


def test_a_log_is_read_piece_by_piece_until_it_is_complete(
    boss: Caller, shop: str, app: Flask
) -> None:
    run = boss.made(f"{shop}/runs")
    with told_by(run["id"], app) as tx:
        logs.append(tx, "größe: 3\n".encode())
        logs.append(tx, b"done\n")
    path = f"{shop}/runs/{run['id']}/log"

    first = boss.get(path, limit=4)
    rest = boss.get(path, offset=first.headers["X-Log-Next-Offset"])

    assert (first.data + rest.data).decode() == "größe: 3\ndone\n"
    assert rest.headers["X-Log-Complete"] == "false"
    boss.post(f"{shop}/runs/{run['id']}/cancel")
    end = boss.get(path, offset=rest.headers["X-Log-Next-Offset"])
    assert (end.data, end.headers["X-Log-Complete"]) == (b"", "true")
    refused(boss.get(path, offset=-1), 422, "invalid-request")


def test_steps_are_shown_in_their_order(boss: Caller, shop: str, app: Flask) -> None:
    run = boss.made(f"{shop}/runs")
    with app.extensions["stateroom"].itself.transaction() as tx:
        tx.db.get_one(Run, run["id"]).epoch = 1  # somebody has claimed it
    clone = Event("clone", 1, started=time.monotonic() - 2)
    with told_by(run["id"], app) as tx:
        steps.record(tx, [clone, Event("detect", 2, started=time.monotonic() - 1)])
    with told_by(run["id"], app) as tx:
        done = replace(clone, ended=time.monotonic(), status="done", detail={"commit": "abc"})
        steps.record(tx, [done])

    shown = boss.get(f"{shop}/runs/{run['id']}/steps").json["items"]

    assert [(step["name"], step["status"]) for step in shown] == [
        ("clone", "done"),
        ("detect", "running"),
    ]
    assert shown[0]["detail"] == {"commit": "abc"}
    assert boss.get(f"{shop}/runs/{run['id']}").json["steps"] == shown


def test_a_failed_run_says_what_is_wrong_and_what_to_do(
    boss: Caller, shop: str, app: Flask
) -> None:
    run = boss.made(f"{shop}/runs")
    with app.extensions["stateroom"].itself.transaction() as tx:
        row = tx.db.get_one(Run, run["id"])
        row.status = "preparing"
        tx.db.flush()
        moves.move(
            tx, row, "errored", error_code="host-key-unknown", error_message="Not known.",
            error_facts={"place": "git.example.com:2222"},
        )  # fmt: skip

    shown = boss.get(f"{shop}/runs/{run['id']}").json

    listed = boss.get(f"{shop}/runs").json["items"][0]

    assert shown["error"] == listed["error"]
    assert (shown["error"]["code"], shown["error"]["message"]) == ("host-key-unknown", "Not known.")
    assert shown["error"]["facts"] == {"place": "git.example.com:2222"}
    assert "scan -p shop git.example.com:2222`" in shown["error"]["next"]


@one_database
@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        ("GET", ""),
        ("GET", "/log"),
        ("GET", "/steps"),
        ("POST", "/cancel"),
        ("POST", "/force-cancel"),
        ("POST", "/acknowledge"),
        ("POST", "/approve"),
        ("POST", "/discard"),
        ("GET", "/comments"),
    ],
)
def test_a_stranger_and_a_missing_run_get_404(
    boss: Caller, shop: str, stranger: Caller, verb: str, rest: str
) -> None:
    run = boss.made(f"{shop}/runs")

    refused(stranger.call(verb, f"{shop}/runs/{run['id']}{rest}"), 404, "not-found")
    refused(boss.call(verb, f"{shop}/runs/run_nothing{rest}"), 404, "not-found")
    elsewhere = f"/projects/elsewhere/runs/{run['id']}{rest}"
    refused(stranger.call(verb, elsewhere), 404, "not-found")


@one_database
def test_a_stranger_neither_lists_nor_queues_runs(shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/runs"), 404, "not-found")
    refused(stranger.post(f"{shop}/runs"), 404, "not-found")
    refused(stranger.post(f"{shop}/workspaces/app/runs"), 404, "not-found")


@one_database
@pytest.mark.parametrize(
    ("ref", "rule"),
    [
        (None, "own"),
        ("main", "own"),
        ("refs/heads/main", "own"),
        ("release/1", "refs/heads/release/*"),
        ("v1", "refs/tags/v*"),
        ("refs/pull/7/head", "refs/pull/*/head"),
        ("c" * 40, None),  # the worker finds it out
    ],
)
def test_a_queued_run_says_which_rule_allows_its_ref(
    boss: Caller, shop: str, ref: str | None, rule: str | None
) -> None:
    allowed = ["release/*", "refs/tags/v*", "refs/pull/*/head"]
    boss.patch(f"{shop}/templates/app", {"ref": "main", "allowed_refs": allowed})

    run = boss.made(f"{shop}/runs", {"operation": "plan", "ref": ref})

    assert (run["ref"], run["ref_rule"]) == (ref, rule)


@one_database
@pytest.mark.parametrize("ref", ["feature", "refs/pull/7/head", "refs/heads/feature", "MAIN"])
def test_a_ref_that_the_template_does_not_allow_is_refused_for_everybody(
    boss: Caller, shop: str, ref: str
) -> None:
    boss.patch(f"{shop}/templates/app", {"ref": "main"})

    problem = refused(boss.post(f"{shop}/runs", {"ref": ref}), 403, "ref-not-allowed")

    assert "its own ref main" in problem["detail"]
    assert problem["field"] == "ref"
    assert boss.get(f"{shop}/runs").json["items"] == []


@one_database
@pytest.mark.parametrize(
    "body",
    [
        {"operation": "import-state"},
        {"operation": "export-state"},
        {"operation": "apply", "auto_approve": True},
        {"operation": "destroy", "auto_approve": True},
    ],
)
def test_who_may_not_approve_queues_nothing_that_waits_for_no_approval(
    boss: Caller, shop: str, body: dict[str, Any]
) -> None:
    planner = boss.with_scopes("runs:create", "runs:read", "state:write", project="shop")

    planned = planner.made(f"{shop}/runs", {"operation": "apply"})
    problem = refused(planner.post(f"{shop}/runs", body), 403, "scope-missing")

    assert planned["status"] == "queued"
    assert problem["scope"] == "runs:approve"
    assert [run["id"] for run in planner.get(f"{shop}/runs").json["items"]] == [planned["id"]]


@one_database
def test_to_approve_alone_is_not_to_queue(boss: Caller, shop: str) -> None:
    approver = boss.with_scopes("runs:approve", project="shop")

    problem = refused(approver.post(f"{shop}/runs"), 403, "scope-missing")

    assert problem["scope"] == "runs:create"


@one_database
def test_a_task_runner_queues_and_a_manager_may_apply_without_waiting(
    boss: Caller, shop: str
) -> None:
    runner = new_person(boss, "ann", shop="task_runner")
    manager = new_person(boss, "max", shop="manager")

    assert runner.made(f"{shop}/runs")["auto_approve"] is False
    refused(runner.post(f"{shop}/runs", {"auto_approve": True}), 403, "scope-missing")
    assert manager.made(f"{shop}/runs", {"auto_approve": True})["auto_approve"] is True


@one_database
@pytest.mark.parametrize(
    ("scope", "verb", "rest", "needed"),
    [
        ("runs:create", "GET", "", "runs:read"),
        ("runs:read", "POST", "", "runs:create"),
        ("runs:read", "POST", "/{run}/cancel", "runs:cancel"),
        ("runs:read", "POST", "/{run}/acknowledge", "runs:approve"),
        ("runs:create", "POST", "/{run}/approve", "runs:approve"),
        ("runs:create", "POST", "/{run}/discard", "runs:approve"),
        ("runs:create", "GET", "/{run}/comments", "runs:read"),
        ("runs:read", "POST", "/{run}/comments", "runs:create"),
    ],
)
def test_each_thing_needs_its_scope(
    boss: Caller, shop: str, scope: str, verb: str, rest: str, needed: str
) -> None:
    run = boss.made(f"{shop}/runs")["id"]
    somebody = boss.with_scopes(scope, project="shop")

    body = {"text": "Why?"} if rest.endswith("/comments") and verb == "POST" else {}
    answer = somebody.call(verb, f"{shop}/runs{rest.format(run=run)}", json=body)

    assert refused(answer, 403, "scope-missing")["scope"] == needed


def test_a_run_that_is_being_stopped_says_what_comes_next(
    boss: Caller, shop: str, app: Flask
) -> None:
    run = boss.made(f"{shop}/runs")["id"]
    said = {"signal": "SIGINT", "at": "2026-11-30T12:00:00+00:00", "next": "SIGKILL",
            "next_at": "2026-11-30T12:05:00+00:00"}  # fmt: skip
    with app.extensions["stateroom"].database.transaction() as db:
        row = db.get_one(Run, run)
        row.status, row.stopping = "applying", said
    at_work = boss.get(f"{shop}/runs/{run}").json["stopping"]
    with app.extensions["stateroom"].database.transaction() as db:
        db.get_one(Run, run).status = "canceled"

    assert (at_work["signal"], at_work["next"]) == ("SIGINT", "SIGKILL")
    assert boss.get(f"{shop}/runs/{run}").json["stopping"] is None
