"""The list of runs, and the form that queues one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.form_fields import fields_of
from tests.support.staged import planned, queued
from tests.support.visitor import Visitor, words

pytestmark = one_database

RUNS = "/projects/shop/runs"
NEW = f"{RUNS}/new"
HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m"
SURVEY = [
    {"name": "size", "type": "number"},
    *(
        {"required": False, **question}
        for question in (
            {"name": "region", "title": "Region", "type": "choice", "choices": ["north", "south"]},
            {"name": "secret", "type": "string", "sensitive": True},
            {"name": "zones", "type": "choices", "choices": ["a", "b", "c"]},
            {"name": "TF_LOG", "kind": "environment", "type": "string"},
        )
    ),
]


def test_an_empty_list_teaches_how_to_queue_the_first_run(
    visitor_of: Callable[..., Visitor],
) -> None:
    assert 'href="/projects/shop/runs/new"' in visitor_of("task_runner").read(RUNS)
    guest = visitor_of("guest").read(RUNS)
    assert "Nothing has run here yet" in words(guest)
    assert f"{RUNS}/new" not in guest


def test_runs_are_listed_newest_first_with_what_they_change(
    boss: Caller, owner: Visitor, app: Flask, shop: str
) -> None:
    began = datetime.now(UTC) - timedelta(minutes=3)
    old = queued(
        boss, app, {"message": "First one"}, status="applied", commit="c0ffee" * 6 + "beef",
        changes={"add": 1200, "change": 1, "destroy": 2}, started_at=began,
        finished_at=began + timedelta(seconds=90),
    )  # fmt: skip
    new = queued(boss, app, {"operation": "plan", "ref": None})

    page = read_within(owner, RUNS)

    assert page.index(new) < page.index(old)
    said = words(page)
    assert "applied apply First one app +1,200 ~1 \N{MINUS SIGN}2 c0ffeec" in said
    assert "1 min 30 s" in said


def test_every_filter_is_in_the_address_and_leaves_out_others(
    boss: Caller, owner: Visitor, app: Flask, shop: str
) -> None:
    boss.made(f"{shop}/templates", {"repository": "https://git.example.com/team/net"})
    failed = queued(boss, app, status="errored", error_code="plan-failed", error_message="No.")
    waits = planned(app)
    other = queued(boss, app, {"template": "net", "operation": "drift"}, created_by="bob")

    def shown(query: str) -> set[str]:
        page = read_within(owner, f"{RUNS}?{query}")
        return {run for run in (failed, waits, other) if f'id="{run}"' in page}

    assert shown("") == {failed, waits, other}
    assert shown("status=errored") == {failed}
    assert shown("status=failed") == {failed}
    assert shown("status=undecided") == {waits}
    assert shown("status=waiting") == {other}
    assert shown("status=at_work") == set()
    assert shown("workspace=net") == {other}
    assert shown("template=app&status=") == {failed, waits}
    assert shown("operation=drift") == {other}
    assert shown("created_by=bob") == {other}
    assert shown("created_by=bob&status=errored") == set()


def test_a_wrong_filter_is_told_and_stays_in_the_form(owner: Visitor) -> None:
    for query, said in (
        ("workspace=nothing", "There is no workspace 'nothing'"),
        ("status=happy&workspace=x", "status"),
        ("template=none", "none"),
    ):
        page = owner.read(f"{RUNS}?{query}")
        assert said in words(page)
    assert 'value="nothing"' in owner.read(f"{RUNS}?workspace=nothing")


def test_a_long_list_pages_and_keeps_its_filters(
    boss: Caller, owner: Visitor, app: Flask, shop: str
) -> None:
    runs = sorted(queued(boss, app) for _ in range(4))  # as time goes, but for milliseconds

    first = owner.read(f"{RUNS}?operation=apply&limit=3")

    assert "operation=apply&amp;limit=3&amp;cursor=" in first
    rest = owner.read(f"{RUNS}?operation=apply&limit=3&cursor={runs[1]}")
    assert [f'id="{run}"' in rest for run in runs] == [True, False, False, False]


def test_a_stranger_sees_no_runs_and_queues_none(visitor_of: Callable[..., Visitor]) -> None:
    stranger = visitor_of(None)

    for path in (RUNS, NEW, f"{NEW}?workspace=app", f"{RUNS}/run_x", f"{RUNS}/run_x/variables"):
        assert stranger.get(path).status_code == 404, path
    assert stranger.send(NEW, {"workspace": "app"}).status_code == 404


def test_hostile_text_in_a_list_is_harmless(
    boss: Caller, owner: Visitor, app: Flask, shop: str
) -> None:
    queued(boss, app, {"message": HOSTILE}, ref=HOSTILE, commit="c" * 40, created_by=HOSTILE)

    page = owner.read(RUNS)

    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "\\u202e\\x1b[31m" in page


def test_a_run_is_queued_with_everything_that_the_form_asks_for(
    boss: Caller, owner: Visitor, shop: str
) -> None:
    boss.patch(f"{shop}/templates/app", {"survey": SURVEY})
    page = read_within(owner, f"{NEW}?workspace=app")
    fields: dict[str, Any] = fields_of(page, NEW) | {
        "operation": "plan",
        "message": "Look at it",
        "targets": "module.a\r\nmodule.b\r\n",
        "variables.region": "south",
        "variables.size": "3",
        "variables.secret": "hunter2",
        "variables.zones": ["a", "c"],
        "variables.environment.TF_LOG": "DEBUG",
    }

    there = owner.done(NEW, fields)

    run = boss.get(there).json
    assert (run["operation"], run["message"]) == ("plan", "Look at it")
    assert run["targets"] == ["module.a", "module.b"]
    given = {one["name"]: one["value"] for one in boss.get(f"{there}/variables").json["items"]}
    assert given == {
        "region": "south", "size": "3", "secret": None, "zones": '["a", "c"]', "TF_LOG": "DEBUG",
    }  # fmt: skip


def test_what_is_left_empty_stays_as_the_workspace_has_it(
    boss: Caller, owner: Visitor, app_workspace: str, shop: str
) -> None:
    boss.patch(f"{shop}/templates/app", {"survey": SURVEY})
    boss.made(f"{app_workspace}/variables", {"name": "size", "value": "7", "kind": "terraform"})

    page = owner.read(f"{NEW}?workspace=app")
    there = owner.done(NEW, fields_of(page, NEW))

    assert "Empty: 7 (workspace)" in words(page)
    assert boss.get(f"{there}/variables").json["items"] == []


def test_a_missing_answer_is_refused_and_names_its_field(
    boss: Caller, owner: Visitor, shop: str
) -> None:
    boss.patch(f"{shop}/templates/app", {"survey": SURVEY})
    fields = fields_of(owner.read(f"{NEW}?workspace=app"), NEW)

    answer = owner.send(NEW, fields | {"variables.size": ""}, headers={"HX-Request": "true"})

    assert answer.status_code == 422
    assert 'data-fields="body.variables.size"' in answer.get_data(as_text=True)


def test_the_same_form_sent_twice_queues_one_run(boss: Caller, owner: Visitor, shop: str) -> None:
    fields = fields_of(owner.read(f"{NEW}?workspace=app"), NEW)

    first, second = owner.done(NEW, fields), owner.done(NEW, fields)
    changed = owner.done(NEW, fields | {"message": "another one"})
    fresh = owner.done(NEW, fields_of(owner.read(f"{NEW}?workspace=app"), NEW))

    assert first == second
    assert len({first, changed, fresh}) == 3


def test_a_task_runner_is_not_offered_what_needs_an_approver(
    visitor_of: Callable[..., Visitor],
) -> None:
    runner, manager = visitor_of("task_runner"), visitor_of("manager")

    assert "auto_approve" not in runner.read(f"{NEW}?workspace=app")
    assert "before all others" not in runner.read(f"{NEW}?workspace=app")
    assert "auto_approve" in manager.read(f"{NEW}?workspace=app")
    assert visitor_of("guest").get(f"{NEW}?workspace=app").status_code == 403
    fields = fields_of(runner.read(f"{NEW}?workspace=app"), NEW)
    assert runner.send(NEW, fields | {"auto_approve": "true"}).status_code == 403


def test_without_a_workspace_one_is_chosen(boss: Caller, owner: Visitor, shop: str) -> None:
    boss.made(f"{shop}/workspaces", {"name": "second", "template": "app"})

    page = read_within(owner, f"{NEW}?workspace=")

    assert '<option value="second">' in page
    assert owner.get(f"{NEW}?workspace=nothing").status_code == 404


def test_a_workspace_without_a_template_says_that_nothing_can_run(
    boss: Caller, owner: Visitor, shop: str
) -> None:
    boss.made(f"{shop}/workspaces", {"name": "kept"})

    assert "only keeps a state" in words(owner.read(f"{NEW}?workspace=kept"))


def test_a_project_without_workspaces_says_what_comes_first(
    boss: Caller, administrator: Visitor
) -> None:
    boss.made("/projects", {"name": "blank"})

    assert "Make a template" in words(administrator.read("/projects/blank/runs/new"))
