"""The guided form that moves a state."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from sqlalchemy import update

from backend.models import Run
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app/transfer"
APP = "/projects/shop/workspaces/app"


def detected(app: Flask, boss: Caller, verdict: str, **more: object) -> None:
    """A run has found this backend in the sources."""
    run = boss.made(f"{APP}/runs", {"operation": "plan"})
    found = {"verdict": verdict, "file": "main.tf", "line": 3, "why": "", **more}
    with app.extensions["stateroom"].itself.transaction() as tx:
        tx.db.execute(update(Run).where(Run.id == run["id"]).values(detection=found))


def test_a_state_is_brought_here_by_a_run(app: Flask, owner: Visitor, boss: Caller) -> None:
    boss.made(
        f"{APP}/variables", {"kind": "environment", "name": "AWS_ACCESS_KEY_ID", "value": "A"}
    )
    detected(app, boss, "backend:s3")
    page = words(read_within(owner, AT))
    assert "found backend:s3 in main.tf:3" in page
    assert "AWS_ACCESS_KEY_ID set" in page
    assert "AWS_SECRET_ACCESS_KEY not set Set it as sensitive" in page

    form = {
        "operation": "import-state",
        "ref": "",
        "cli_workspace": "prod",
        "message": "",
        "once": "1",
    }
    there = [owner.done(AT, form), owner.done(AT, form)]

    assert there[0] == there[1], "sent twice, it is queued once"
    run = boss.get(f"/projects/shop/runs/{there[0].rpartition('/')[2]}").json
    assert (run["operation"], run["cli_workspace"], run["ref"]) == ("import-state", "prod", None)


@one_database
def test_a_state_is_moved_away_by_a_run(owner: Visitor, boss: Caller) -> None:
    assert "there is nothing to export" in words(owner.read(f"{AT}?to=away"))
    body = b'{"version":4,"serial":7,"lineage":"l"}'
    boss.call("POST", "/api/terraform/state/shop/app", data=body)
    page = words(owner.read(f"{AT}?to=away"))
    assert "Move the state of app away?" in page
    assert "There is a state here: version 1, serial 7" in words(owner.read(AT))

    there = owner.done(AT, {"operation": "export-state", "ref": "", "message": "bye"})

    run = boss.get(f"/projects/shop/runs/{there.rpartition('/')[2]}").json
    assert (run["operation"], run["ref"], run["message"]) == ("export-state", None, "bye")


@one_database
def test_without_a_template_it_says_how_else(owner: Visitor, boss: Caller, shop: str) -> None:
    boss.made(f"{shop}/workspaces", {"name": "kept"})

    page = words(owner.read("/projects/shop/workspaces/kept/transfer"))

    assert "This workspace runs nothing" in page
    assert "init -migrate-state" in page


@one_database
def test_the_form_moves_states_and_nothing_else(owner: Visitor, boss: Caller) -> None:
    for fields in (
        {"operation": "destroy"},
        {},
        {"operation": "all"},
        {"operation": "export-state", "cli_workspace": "x"},
    ):
        assert owner.send(AT, fields).status_code == 422, fields
    assert boss.get("/projects/shop/runs").json["items"] == []


@one_database
def test_who_may_not_move_states_is_told_what_it_needs(
    visitor_of: Callable[..., Visitor],
) -> None:
    runner, manager = visitor_of("task_runner"), visitor_of("manager")

    assert "Import the state" not in words(runner.read(AT))
    assert "you need the scopes" in words(runner.read(AT))
    assert runner.send(AT, {"operation": "import-state"}).status_code == 403
    assert "Import the state" in words(manager.read(AT))
    stranger = visitor_of(None)
    assert stranger.get(AT).status_code == 404
    assert stranger.send(AT, {"operation": "import-state"}).status_code == 404


@one_database
def test_what_a_repository_says_does_no_harm(app: Flask, owner: Visitor, boss: Caller) -> None:
    evil = "<script>alert(1)</script>\u202e\x1b[2J"
    detected(app, boss, "backend:s3", file=evil, why=evil)

    page = owner.read(AT)

    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
