from __future__ import annotations

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


def test_a_lock_that_is_free_is_not_broken(boss: Caller, lock: str) -> None:
    refused(boss.delete(lock), 404, "not-locked")


@one_database
def test_an_unknown_option_is_refused(boss: Caller, lock: str) -> None:
    refused(boss.delete(lock, because="x"), 422, "invalid-request")


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_a_stranger_and_a_missing_workspace_get_404(
    boss: Caller, shop: str, lock: str, stranger: Caller, verb: str
) -> None:
    refused(stranger.call(verb, lock), 404, "not-found")
    refused(boss.call(verb, f"{shop}/workspaces/other/lock"), 404, "not-found")


def test_a_lock_is_broken_by_those_who_may(boss: Caller, lock: str) -> None:
    boss.call("LOCK", STATE, json=INFO)
    reader = boss.with_scopes("runs:read", project="shop")

    assert reader.get(lock).json["held"] is True
    refused(reader.delete(lock), 403, "scope-missing")
