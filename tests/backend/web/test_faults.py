"""One sealed thing that does not open fails alone: lists show it with its fault, and the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from backend.models import Key, RescuedWrite, StateVersion, Variable
from tests.support.caller import Caller
from tests.support.documents import state_document

STATE = "/api/terraform/state/shop/app"
Damage = Callable[[Any, str, str], None]


@pytest.fixture
def damage(app: Flask) -> Damage:
    """Changes the last byte of a sealed column, in the row with this id."""

    def change(model: Any, row_id: str, column: str) -> None:
        with app.extensions["stateroom"].database.transaction() as db:
            row = db.scalars(select(model).where(model.id == row_id)).one()
            sealed = getattr(row, column)
            setattr(row, column, sealed[:-1] + bytes([sealed[-1] ^ 1]))

    return change


def faults(items: list[dict[str, Any]], by: str) -> dict[Any, str | None]:
    return {item[by]: item["fault"] and item["fault"]["code"] for item in items}


def test_variables_are_listed_when_one_value_does_not_open(
    boss: Caller, app_workspace: str, damage: Damage
) -> None:
    path = f"{app_workspace}/variables"
    made = [boss.made(path, {"name": name, "value": f"of {name}"}) for name in ("one", "other")]
    secret = boss.made(path, {"name": "secret", "value": "s", "sensitive": True})

    damage(Variable, made[0]["id"], "value")
    damage(Variable, secret["id"], "value")

    items = boss.get(path).json["items"]
    assert faults(items, "name") == {"one": "unreadable", "other": None, "secret": "unreadable"}
    assert [item["value"] for item in items] == [None, "of other", None]
    assert "does not open" in items[0]["fault"]["detail"]
    assert boss.get(f"{path}/terraform/one").json == items[0]


def test_a_variable_that_does_not_open_is_set_again(
    boss: Caller, app_workspace: str, damage: Damage
) -> None:
    path = f"{app_workspace}/variables"
    made = boss.made(path, {"name": "one", "value": "lost"})
    damage(Variable, made["id"], "value")

    renewed = boss.patch(f"{path}/terraform/one", {"value": "new"}).json

    assert (renewed["value"], renewed["fault"]) == ("new", None)


def test_a_variable_under_a_key_that_the_keyring_lacks_says_so(
    boss: Caller, app_workspace: str, app: Flask
) -> None:
    path = f"{app_workspace}/variables"
    made = boss.made(path, {"name": "one", "value": "v"})
    with app.extensions["stateroom"].database.transaction() as db:
        row = db.get_one(Variable, made["id"])
        length = row.value[1]
        row.value = row.value[:2] + b"x" * length + row.value[2 + length :]

    [item] = boss.get(path).json["items"]

    assert item["fault"]["code"] == "unknown-key"


def test_keys_and_aliases_are_listed_when_one_secret_does_not_open(
    boss: Caller, shop: str, aliases: str, damage: Damage
) -> None:
    login = {"kind": "password", "username": "ann", "password": "long enough for it"}
    made = [boss.made(f"{shop}/keys", {**login, "name": name}) for name in ("one", "other")]
    boss.made(f"{shop}/keys", {"kind": "none", "name": "none"})
    for key in ("one", "other"):
        boss.made(aliases, {"name": key, "access": "read-only", "key": key})

    damage(Key, made[0]["id"], "secret")

    expected = {"one": "unreadable", "other": None}
    assert faults(boss.get(f"{shop}/keys").json["items"], "name") == {**expected, "none": None}
    assert faults(boss.get(aliases).json["items"], "name") == expected


def test_versions_are_listed_when_one_wrapped_key_does_not_open(
    boss: Caller, app_workspace: str, app: Flask, damage: Damage
) -> None:
    for serial in (1, 2, 3):
        assert boss.call("POST", STATE, data=state_document(serial, lineage="l")).status_code == 200
    with app.extensions["stateroom"].database.reading() as db:
        wanted = select(StateVersion.id).where(StateVersion.number == 3)
        version_id = db.scalars(wanted).one()

    damage(StateVersion, version_id, "wrapped_key")

    listed = boss.get(f"{app_workspace}/states").json["items"]
    assert faults(listed, "number") == {3: "unreadable", 2: None, 1: None}
    assert boss.get(app_workspace).json["state"]["current"]["fault"]["code"] == "unreadable"
    assert boss.get(f"{app_workspace}/states/2/download").status_code == 200
    assert boss.get(f"{app_workspace}/states/3/download").status_code == 500


def test_a_version_whose_body_was_removed_has_no_fault(boss: Caller, app_workspace: str) -> None:
    for serial in (1, 2):
        boss.call("POST", STATE, data=state_document(serial, lineage="l"))

    assert boss.delete(f"{app_workspace}/states/1").json["fault"] is None


def test_rescued_writes_are_listed_when_one_wrapped_key_does_not_open(
    boss: Caller, app_workspace: str, damage: Damage
) -> None:
    path = f"{app_workspace}/rescued"
    boss.call("POST", STATE, data=state_document(5, lineage="l"))
    for serial in (3, 4):
        assert boss.call("POST", STATE, data=state_document(serial, lineage="l")).status_code == 409
    [newest, oldest] = boss.get(path).json["items"]

    damage(RescuedWrite, newest["id"], "wrapped_key")

    listed = boss.get(path).json["items"]
    assert faults(listed, "id") == {newest["id"]: "unreadable", oldest["id"]: None}
    assert boss.get(f"{path}/{newest['id']}").json["fault"]["code"] == "unreadable"
    dismissed = boss.post(f"{path}/{newest['id']}/dismiss").json
    assert dismissed["fault"] is None
