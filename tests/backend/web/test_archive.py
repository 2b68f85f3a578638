from __future__ import annotations

from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import update

from backend.models import State
from backend.sealing import proven
from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.documents import lock_info, state_document

STATE = "/api/terraform/state/shop/app"


@pytest.fixture
def archived(boss: Caller, app_workspace: str, app: Flask) -> str:
    """The path of a workspace whose state was moved to a bucket."""
    boss.call("POST", STATE, data=state_document(lineage="one"))
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(update(State).values(archived_at=datetime.now(UTC), archived_to="a bucket"))
        proven.accept(db, State)
    return app_workspace


def test_an_archived_state_is_closed_to_clients_and_open_to_people(
    boss: Caller, archived: str
) -> None:
    read = boss.call("GET", STATE)
    locked = boss.call("LOCK", STATE, json=lock_info())
    written = boss.call("POST", STATE, data=state_document(9, lineage="one"))

    assert (read.status_code, read.json["code"]) == (410, "state-archived")
    assert "a bucket" in read.json["detail"]
    assert (locked.status_code, locked.json["ID"]) == (423, "state-archived")
    assert (written.status_code, written.json["code"]) == (409, "state-archived")
    for which in ("1", "latest"):
        assert boss.get(f"{archived}/states/{which}/download").status_code == 200
    assert boss.get(archived).json["state"]["archived_to"] == "a bucket"


def test_a_person_opens_it_again(boss: Caller, archived: str) -> None:
    opened = boss.post(f"{archived}/states/unarchive")

    assert opened.status_code == 200
    assert opened.json["archived_at"] is None
    assert boss.call("GET", STATE).status_code == 200
    assert boss.post(f"{archived}/states/unarchive").status_code == 200


@one_database
def test_who_may_only_write_states_does_not_open_it(boss: Caller, archived: str) -> None:
    writer = boss.with_scopes("state:read", "state:write", project="shop")

    assert writer.post(f"{archived}/states/unarchive").status_code == 403


@one_database
def test_a_stranger_finds_nothing_to_open(stranger: Caller, archived: str) -> None:
    assert stranger.post(f"{archived}/states/unarchive").status_code == 404


def test_who_held_the_lock_last_writes_nothing_into_it_any_more(
    boss: Caller, app_workspace: str, app: Flask
) -> None:
    lock = lock_info()
    boss.call("LOCK", STATE, json=lock)
    address = f"{STATE}?ID={lock['ID']}"
    boss.call("POST", address, data=state_document(1, lineage="one"))
    boss.call("UNLOCK", STATE, json=lock)
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(update(State).values(archived_at=datetime.now(UTC), archived_to="a bucket"))
        proven.accept(db, State)

    late = boss.call("POST", address, data=state_document(2, lineage="one"))

    assert (late.status_code, late.json["code"]) == (409, "state-archived")
    assert late.json["rescued"]
    assert boss.get(app_workspace).json["state"]["current"]["number"] == 1
