"""What somebody changed in the database gives nobody anything, and is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Table, delete, insert, select, update

from backend.models import Alias, Key, Member, State, StateVersion, Token, User, Variable
from backend.upkeep.examination import Examiner
from tests.support.alias_login import AliasLogin
from tests.support.caller import Caller
from tests.support.documents import lock_info, state_document
from tests.support.people import new_person, signed_in

STATE = "/api/terraform/state/shop/app"
Edit = Callable[..., None]
LATER = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def edit(app: Flask) -> Edit:
    """Changes rows as the owner of the database can, who has no key."""

    def change(model: Any, *which: Any, **values: Any) -> None:
        with app.extensions["stateroom"].database.engine.begin() as connection:
            table: Table = model.__table__
            done = connection.execute(update(table).where(*which).values(values))
            assert done.rowcount

    return change


def row_of(app: Flask, model: Any, *which: Any) -> dict[str, Any]:
    with app.extensions["stateroom"].database.reading() as db:
        return dict(db.execute(select(model.__table__).where(*which)).one()._mapping)


def ready(app: Flask, boss: Caller) -> Any:
    """/readyz after the server has examined all rows."""
    examiner = Examiner(app.extensions["stateroom"])
    while examiner() < 1:
        pass
    answer = boss.client.get("/readyz")
    assert answer.status_code == 200
    return answer.json


def test_a_sensitive_variable_that_was_made_plain_by_hand_is_not_shown(
    boss: Caller, app: Flask, app_workspace: str, edit: Edit
) -> None:
    path = f"{app_workspace}/variables"
    boss.made(path, {"kind": "terraform", "name": "x", "value": "hunter2", "sensitive": True})
    guest = new_person(boss, shop="guest")
    edit(Variable, sensitive=False)

    shown = guest.get(path).json["items"][0]

    assert (shown["value"], shown["fault"]["code"]) == (None, "row-changed")
    assert ready(app, boss)["changed_rows"] == [f"variables {shown['id']}"]
    assert ready(app, boss)["status"] == "degraded"
    refused = boss.patch(f"{path}/{shown['id']}", {"value": "other", "sensitive": False})
    assert (refused.status_code, refused.json["code"]) == (500, "row-changed")
    assert boss.delete(f"{path}/{shown['id']}").status_code == 204


def test_an_older_value_of_a_variable_that_was_put_back_is_named(
    boss: Caller, app: Flask, app_workspace: str, edit: Edit
) -> None:
    path = f"{app_workspace}/variables"
    made = boss.made(path, {"kind": "environment", "name": "X", "value": "old"})
    old = row_of(app, Variable)
    boss.patch(f"{path}/{made['id']}", {"value": "new"})

    edit(Variable, value=old["value"])
    half = boss.get(f"{path}/{made['id']}").json
    edit(Variable, **old)

    assert half["fault"]["code"] == "row-changed"
    assert ready(app, boss)["changed_rows"] == [f"variables {made['id']}"]


def test_a_key_whose_row_was_moved_to_another_project_does_not_open(
    boss: Caller, shop: str, edit: Edit
) -> None:
    boss.made("/projects", {"name": "mine"})
    mine = boss.get("/projects/mine").json["id"]
    boss.made(f"{shop}/keys", {"kind": "password", "name": "deploy", "username": "u",
                               "password": "a long password"})  # fmt: skip
    edit(Key, project_id=mine)

    (shown,) = boss.get("/projects/mine/keys").json["items"]

    assert shown["fault"]["code"] == "row-changed"


@pytest.mark.parametrize(
    "change", [{"scopes": "admin"}, {"project_id": None}, {"expires_at": LATER}, {"name": "boss"}]
)
def test_a_token_that_was_edited_is_refused(
    boss: Caller, app_workspace: str, edit: Edit, change: dict[str, Any]
) -> None:
    ci = boss.with_scopes("runs:read", project="shop")
    token_id = ci.get("/whoami").json["token_id"]
    edit(Token, Token.id == token_id, **change)

    assert ci.get(app_workspace).status_code == 401
    assert ci.call("GET", STATE).status_code == 401


def test_a_revoked_token_that_was_revived_by_hand_is_refused(
    boss: Caller, app_workspace: str, edit: Edit
) -> None:
    ci = boss.with_scopes("runs:read")
    token_id = ci.get("/whoami").json["token_id"]
    boss.delete(f"/tokens/{token_id}")
    edit(Token, Token.id == token_id, revoked_at=None)

    assert ci.get(app_workspace).status_code == 401


def test_a_token_that_was_added_by_hand_opens_nothing(
    boss: Caller, app: Flask, app_workspace: str
) -> None:
    from backend.sealing import crypto  # noqa: PLC0415

    secret = crypto.new_token("stateroom")
    row = row_of(app, Token, Token.run_id.is_(None), Token.name == "administrator")
    forged = row | {"id": "tok_forged", "hash": crypto.token_hash(secret)}
    with app.extensions["stateroom"].database.engine.begin() as connection:
        connection.execute(insert(Token).values(forged))

    answer = Caller(boss.client, secret).get(app_workspace)

    assert answer.status_code == 401
    assert ready(app, boss)["changed_rows"] == ["tokens tok_forged"]


def test_a_person_who_was_made_administrator_by_hand_is_refused(
    boss: Caller, app_workspace: str, edit: Edit
) -> None:
    ada = new_person(boss, shop="guest")
    edit(User, User.name == "ada", is_admin=True)

    assert ada.get("/users").status_code == 401
    with pytest.raises(AssertionError):
        signed_in(boss, "ada")


def test_a_role_that_was_raised_by_hand_is_refused(
    boss: Caller, app_workspace: str, edit: Edit
) -> None:
    ada = new_person(boss, shop="guest")
    edit(Member, role="owner")

    assert ada.get(app_workspace).status_code == 401
    assert ada.call("GET", STATE).status_code == 401


def test_an_alias_whose_row_was_edited_opens_nothing(
    boss: Caller, laptop: dict[str, Any], edit: Edit
) -> None:
    login = AliasLogin(boss.client, laptop)
    assert login.send("GET").status_code == 404  # never written

    edit(Alias, access="read-only")

    assert login.send("GET").status_code == 401


@pytest.fixture
def written(boss: Caller, app_workspace: str) -> str:
    """A state with two versions."""
    for serial in (1, 2):
        document = state_document(serial, lineage="one")
        assert boss.call("POST", STATE, data=document).status_code == 200
    return app_workspace


@pytest.mark.parametrize("change", [{"current": 1}, {"current": 0}])
def test_a_state_that_was_moved_back_by_hand_is_not_served(
    boss: Caller, app: Flask, written: str, edit: Edit, change: dict[str, Any]
) -> None:
    edit(State, **change)

    assert boss.call("GET", STATE).status_code == 500
    assert boss.call("LOCK", STATE, json=lock_info()).status_code == 500
    late = boss.call("POST", STATE, data=state_document(3, lineage="one"))
    assert (late.status_code, late.json["code"]) == (500, "row-changed")
    assert late.json["rescued"]
    assert boss.get(f"{written}/states").status_code == 500
    assert ready(app, boss)["changed_rows"] == [f"states {row_of(app, State)['id']}"]


def test_a_state_with_an_older_copy_of_its_row_is_not_served(
    boss: Caller, app: Flask, written: str, edit: Edit
) -> None:
    old = row_of(app, State)
    boss.call("POST", STATE, data=state_document(3, lineage="one"))
    edit(State, **old)
    assert boss.call("GET", STATE).status_code == 500

    with app.extensions["stateroom"].database.engine.begin() as connection:
        connection.execute(delete(StateVersion).where(StateVersion.number == 3))

    found = ready(app, boss)
    assert found["changed_rows"] == [f"states {old['id']}"]


def test_a_deleted_state_that_was_revived_by_hand_is_not_served(
    boss: Caller, written: str, edit: Edit
) -> None:
    assert boss.call("DELETE", STATE).status_code == 200
    edit(State, deleted_at=None)

    assert boss.call("GET", STATE).status_code == 500


def test_an_apply_under_way_goes_on_beside_people_who_work_with_the_state(
    boss: Caller, written: str
) -> None:
    """Each write makes a new proof from the one that it found."""
    for serial in (3, 4, 5):
        lock = lock_info()
        assert boss.call("LOCK", STATE, json=lock).status_code == 200
        document = state_document(serial, lineage="one")
        wrote = boss.call("POST", f"{STATE}?ID={lock['ID']}", data=document)
        assert wrote.status_code == 200
        assert boss.call("UNLOCK", STATE, json=lock).status_code == 200
        assert boss.post(f"{written}/states/1/restore").status_code in {200, 201}
    assert boss.call("DELETE", STATE).status_code == 200
    assert boss.post(f"{written}/states/undelete").status_code in {200, 204}
    assert boss.call("GET", STATE).status_code == 200


def test_the_installation_is_ready_when_nobody_changed_anything(
    boss: Caller, app: Flask, written: str, laptop: dict[str, Any]
) -> None:
    new_person(boss, shop="guest")

    found = ready(app, boss)

    assert found["parts"]["rows"] == "ok"
    assert "changed_rows" not in found
