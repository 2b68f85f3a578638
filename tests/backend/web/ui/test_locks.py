"""The page of the lock of a workspace."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask
from sqlalchemy import update

from backend.models import Lock
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app/lock"
ADDRESS = "/api/terraform/state/shop/app"
BIDI = "\u202e"


def lock(boss: Caller, **info: str) -> None:
    body = json.dumps(
        {"ID": "8b6c", "Operation": "OperationTypeApply", "Who": "ann@laptop", **info}
    )
    assert boss.call("LOCK", ADDRESS, data=body.encode()).status_code == 200


def test_a_person_holds_the_lock_changes_the_hold_and_ends_it(owner: Visitor, boss: Caller) -> None:
    page = read_within(owner, AT)
    assert "Nobody has the lock" in words(page)

    there = owner.done(AT, {"reason": "a demo", "expires_in_minutes": "60"})

    page = owner.read(there)
    assert "Held by hand" in words(page)
    assert "a demo" in words(page)
    owner.done(AT, {"reason": "a longer demo", "expires_in_minutes": "120"})
    assert "a longer demo" in words(owner.read(AT))
    held = boss.get(f"{AT}").json
    assert (held["held"], held["hold_reason"]) == (True, "a longer demo")
    owner.done(f"{AT}/end", {"lock_id": held["lock_id"]})
    assert boss.get(AT).json["held"] is False


@one_database
def test_breaking_a_lock_names_its_holder_and_wants_a_reason(owner: Visitor, boss: Caller) -> None:
    lock(boss)
    page = words(owner.read(AT))
    assert "Break the lock of" in page
    assert "If ann@laptop is still at work" in page

    answer = owner.send(f"{AT}/end", {"lock_id": "8b6c", "reason": " "})

    assert answer.status_code == 422
    assert boss.get(AT).json["held"] is True
    owner.done(f"{AT}/end", {"lock_id": "8b6c", "reason": "her laptop died"})
    assert boss.get(AT).json["held"] is False


@one_database
def test_a_lock_that_changed_hands_meanwhile_is_not_broken(owner: Visitor, boss: Caller) -> None:
    lock(boss)

    answer = owner.send(f"{AT}/end", {"lock_id": "another", "reason": "it is stale"})

    assert answer.status_code == 409
    assert "look again" in words(answer.get_data(as_text=True))
    assert boss.get(AT).json["held"] is True


@one_database
def test_what_a_client_says_of_itself_does_no_harm(owner: Visitor, boss: Caller) -> None:
    evil = f"<img src=x onerror=alert(1)>\x1b[2J{BIDI}txt.exe"
    lock(boss, Who=evil, Info=evil, Version=evil, Path="javascript:alert(1)")

    for path in (AT, "/projects/shop/workspaces/app", "/projects/shop/workspaces"):
        page = owner.read(path)
        assert "<img" not in page
        assert "\x1b" not in page
        assert BIDI not in page
    assert "&lt;img src=x onerror=alert(1)&gt;\\x1b[2J\\u202etxt.exe" in owner.read(AT)


@one_database
def test_the_lock_of_a_client_that_fell_silent_is_said_to_be_one(
    app: Flask, owner: Visitor, boss: Caller
) -> None:
    lock(boss)
    assert "Nothing was heard of this client" not in words(owner.read(AT))

    with app.extensions["stateroom"].itself.transaction() as tx:
        tx.db.execute(update(Lock).values(last_seen_at=datetime.now(UTC) - timedelta(minutes=6)))

    assert "Nothing was heard of this client" in words(owner.read(AT))
    assert "silent" in words(owner.read("/projects/shop/workspaces/app"))


@one_database
def test_the_lock_of_a_run_leads_to_it(app: Flask, owner: Visitor, boss: Caller) -> None:
    run = boss.made("/projects/shop/workspaces/app/runs", {"operation": "plan"})
    lock(boss)
    with app.extensions["stateroom"].itself.transaction() as tx:
        tx.db.execute(update(Lock).values(run_id=run["id"]))

    page = owner.read(AT)

    assert f'href="/projects/shop/runs/{run["id"]}"' in page
    assert "Locked by a run" in words(page)
    assert "cancel it" in words(page)


@one_database
def test_every_role_sees_the_buttons_that_it_may_use(
    visitor_of: Callable[..., Visitor], boss: Caller
) -> None:
    roles = [visitor_of(role) for role in ("guest", "task_runner", "manager", "owner")]
    assert ["Hold the lock" in one.read(AT) for one in roles] == [False, False, True, True]
    lock(boss)
    assert ["Break the lock" in one.read(AT) for one in roles] == [False, False, True, True]
    assert roles[0].send(AT, {"reason": "x", "expires_in_minutes": "60"}).status_code == 403
    assert visitor_of(None).get(AT).status_code == 404


@one_database
def test_a_hold_that_is_wrong_is_refused(owner: Visitor, boss: Caller) -> None:
    for fields in (
        {"reason": "", "expires_in_minutes": "60"},
        {"reason": "x"},
        {"reason": "x", "expires_in_minutes": "0"},
        {"reason": "x", "expires_in_minutes": "99999999"},
    ):
        assert owner.send(AT, fields).status_code == 422, fields
    assert boss.get(AT).json["held"] is False
