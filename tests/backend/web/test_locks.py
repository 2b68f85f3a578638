from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import state_document

STATE = "/api/terraform/state/shop/app"
INFO = {"ID": "l-1", "Operation": "OperationTypeApply", "Who": "<b>me</b>@laptop"}


@pytest.fixture
def lock(app_workspace: str) -> str:
    return f"{app_workspace}/lock"


def test_a_lock_shows_who_holds_it(boss: Caller, lock: str) -> None:
    assert boss.get(lock).json["held"] is False
    boss.call("LOCK", STATE, json=INFO)

    held = boss.get(lock).json

    assert held["held"] is True
    assert held["lock_id"] == "l-1"
    assert held["info"] == INFO
    assert held["held_by"] == "administrator"
    assert held["stale"] is False


def test_a_lock_that_was_silent_for_long_is_shown_as_stale(
    boss: Caller, lock: str, app: Flask
) -> None:
    boss.call("LOCK", STATE, json=INFO)
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(text("UPDATE locks SET last_seen_at = last_seen_at - 301000"))

    assert boss.get(lock).json["stale"] is True


def test_a_broken_lock_is_free_audited_and_its_holder_refused(
    boss: Caller, lock: str, app: Flask
) -> None:
    boss.call("LOCK", STATE, json=INFO)

    broken = boss.delete(lock, reason="the laptop is gone")

    assert broken.json["held"] is False
    assert boss.call("LOCK", STATE, json={"ID": "l-2"}).status_code == 200
    late = boss.call("POST", STATE, data=state_document(), query_string={"ID": "l-1"})
    assert late.status_code in {409, 423}
    with app.extensions["stateroom"].database.reading() as db:
        detail = db.execute(
            text("SELECT detail FROM audit_entries WHERE action = 'lock.break'")
        ).scalar_one()
    assert "the laptop is gone" in str(detail)


@one_database
@pytest.mark.parametrize("reason", [{}, {"reason": " "}])
def test_a_lock_is_broken_with_a_reason_only(
    boss: Caller, lock: str, reason: dict[str, str]
) -> None:
    boss.call("LOCK", STATE, json=INFO)

    problem = refused(boss.delete(lock, **reason), 422, "reason-missing")

    assert "administrator" in problem["detail"]
    assert boss.get(lock).json["held"] is True


def test_a_lock_that_is_free_is_not_broken(boss: Caller, lock: str) -> None:
    refused(boss.delete(lock), 404, "not-locked")


@one_database
def test_an_unknown_option_is_refused(boss: Caller, lock: str) -> None:
    refused(boss.delete(lock, because="x"), 422, "invalid-request")


def test_the_locks_that_are_held_in_a_project_are_listed(
    boss: Caller, shop: str, app_workspace: str
) -> None:
    for name in ("free", "held"):
        boss.made(f"{shop}/workspaces", {"name": name})
    boss.call("LOCK", STATE, json=INFO)
    boss.post(f"{shop}/workspaces/held/lock", {"reason": "by hand", "expires_in_minutes": 5})

    first = boss.get(f"{shop}/locks", limit=1).json
    second = boss.get(f"{shop}/locks", cursor=first["next_cursor"]).json

    items = [*first["items"], *second["items"]]
    assert [item["workspace"]["name"] for item in items] == ["app", "held"]
    assert [item["hold_reason"] for item in items] == [None, "by hand"]
    assert items[0]["info"] == INFO
    assert second["next_cursor"] is None


def test_a_hold_that_is_over_is_no_lock_any_more(
    boss: Caller, shop: str, lock: str, app: Flask
) -> None:
    boss.post(lock, {"reason": "by hand", "expires_in_minutes": 5})
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(text("UPDATE locks SET expires_at = expires_at - 301000"))

    assert boss.get(f"{shop}/locks").json["items"] == []
    assert boss.get(lock).json["held"] is False
    refused(boss.delete(lock), 404, "not-locked")


def test_somebody_holds_a_lock_until_a_moment(boss: Caller, lock: str) -> None:
    until = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)

    held = boss.post(lock, {"reason": "by hand", "expires_at": until.isoformat()}).json

    assert held["held"] is True
    assert held["lock_id"].startswith("held-by-administrator-")
    assert held["hold_reason"] == "by hand"
    assert datetime.fromisoformat(held["expires_at"]) == until
    assert held["stale"] is False
    assert held["info"].keys() == {"Operation", "Info", "Who", "Created"}


def test_a_hold_is_prolonged_by_whoever_has_it(boss: Caller, lock: str) -> None:
    first = boss.post(lock, {"reason": "one", "expires_in_minutes": 5}).json

    second = boss.post(lock, {"reason": "two", "expires_in_minutes": 50}).json

    assert second["lock_id"] == first["lock_id"]
    assert second["acquired_at"] == first["acquired_at"]
    assert second["hold_reason"] == "two"
    assert second["expires_at"] > first["expires_at"]


def test_nobody_holds_what_another_has(boss: Caller, lock: str) -> None:
    writer = boss.with_scopes("state:write", project="shop")
    boss.call("LOCK", STATE, json=INFO)
    problem = refused(
        writer.post(lock, {"reason": "by hand", "expires_in_minutes": 5}), 423, "state-locked"
    )

    assert "administrator" in problem["detail"]


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2120-01-01T00:00:00Z"},
        {"expires_at": "2120-01-01T00:00:00Z", "expires_in_minutes": 5},
    ],
)
def test_a_hold_has_an_end_in_the_near_future(boss: Caller, lock: str, end: dict[str, Any]) -> None:
    refused(boss.post(lock, {"reason": "by hand", **end}), 422, "expiry-invalid")


@one_database
@pytest.mark.parametrize(
    "body",
    [
        {"expires_in_minutes": 5},
        {"reason": "", "expires_in_minutes": 5},
        {"reason": "x", "expires_in_minutes": 0},
        {"reason": "x", "expires_in_minutes": 43_201},
        {"reason": "x", "expires_at": "2030-01-01T00:00:00"},
        {"reason": "a\0b", "expires_in_minutes": 5},
    ],
)
def test_a_hold_of_a_wrong_form_is_refused(boss: Caller, lock: str, body: dict[str, Any]) -> None:
    refused(boss.post(lock, body), 422, "invalid-request")


def test_a_frozen_workspace_is_not_held(boss: Caller, app_workspace: str, lock: str) -> None:
    boss.post(f"{app_workspace}/freeze", {"reason": "we move"})

    refused(boss.post(lock, {"reason": "x", "expires_in_minutes": 5}), 409, "workspace-frozen")


def test_a_hold_is_ended_by_whoever_has_it_and_by_nobody_else_without_the_scope(
    boss: Caller, lock: str
) -> None:
    ann = boss.with_scopes("state:write", project="shop")
    bob = boss.with_scopes("state:write", project="shop")  # a token of the same name
    held = ann.post(lock, {"reason": "by hand", "expires_in_minutes": 5}).json

    refused(bob.delete(lock, reason="I am in a hurry"), 403, "scope-missing")
    late = bob.call("UNLOCK", STATE, json={"ID": held["lock_id"]})
    assert late.status_code == 403
    assert ann.delete(lock).json["held"] is False


def test_a_hold_of_another_is_broken_with_a_reason(boss: Caller, lock: str) -> None:
    ann = boss.with_scopes("state:write", project="shop")
    ann.post(lock, {"reason": "by hand", "expires_in_minutes": 5})

    refused(boss.delete(lock), 422, "reason-missing")
    assert boss.delete(lock, reason="ann is on holiday").json["held"] is False


@one_database
@pytest.mark.parametrize("verb", ["GET", "DELETE", "POST"])
def test_a_stranger_and_a_missing_workspace_get_404(
    boss: Caller, shop: str, lock: str, stranger: Caller, verb: str
) -> None:
    body: Any = {"reason": "x", "expires_in_minutes": 5} if verb == "POST" else None

    refused(stranger.call(verb, lock, json=body), 404, "not-found")
    refused(boss.call(verb, f"{shop}/workspaces/other/lock", json=body), 404, "not-found")


@one_database
def test_a_stranger_lists_no_locks(shop: str, stranger: Caller) -> None:
    refused(stranger.get(f"{shop}/locks"), 404, "not-found")


def test_a_lock_is_broken_by_those_who_may(boss: Caller, lock: str) -> None:
    boss.call("LOCK", STATE, json=INFO)
    reader = boss.with_scopes("runs:read", project="shop")

    assert reader.get(lock).json["held"] is True
    refused(reader.delete(lock), 403, "scope-missing")
    refused(reader.post(lock, {"reason": "x", "expires_in_minutes": 5}), 403, "scope-missing")
