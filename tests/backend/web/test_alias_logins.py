"""The login of an alias: it opens one state at one address, and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from backend.config import Settings
from backend.models import Alias, Key
from backend.sealing import proven
from tests.support.alias_login import AliasLogin
from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.documents import lock_info, state_document

LOGIN = {"kind": "password", "name": "laptops", "username": "ann", "password": "correct horse"}


def test_a_read_write_login_locks_writes_unlocks_and_reads(
    client: FlaskClient, boss: Caller, app_workspace: str, laptop: dict[str, Any]
) -> None:
    login, info, body = AliasLogin(client, laptop), lock_info(), state_document()

    before = login.send("GET").status_code
    done = [
        login.send("LOCK", json=info).status_code,
        login.send("POST", data=body, query_string={"ID": info["ID"]}).status_code,
        login.send("UNLOCK", json=info).status_code,
    ]

    assert (before, done) == (404, [200, 200, 200])
    assert login.send("GET").data == body
    assert boss.get(f"{app_workspace}/states/1").json["created_by"] == "alias ann-laptop"
    assert boss.call("GET", "/api/terraform/state/shop/app").data == body


def test_a_read_only_login_reads_and_changes_nothing(
    client: FlaskClient, boss: Caller, aliases: str
) -> None:
    boss.call("POST", "/api/terraform/state/shop/app", data=state_document())
    login = AliasLogin(client, boss.made(aliases, {"name": "reader", "access": "read-only"}))

    assert login.send("GET").status_code == 200
    for verb, sent in [
        ("LOCK", lock_info()),
        ("UNLOCK", lock_info()),
        ("UNLOCK", None),
        ("POST", json.loads(state_document(2))),
        ("DELETE", None),
    ]:
        assert login.send(verb, json=sent).status_code == 403, verb


def test_a_read_write_login_frees_the_lock_of_another_but_deletes_nothing(
    client: FlaskClient, boss: Caller, app_workspace: str, laptop: dict[str, Any]
) -> None:
    boss.call("LOCK", "/api/terraform/state/shop/app", json=lock_info())
    login = AliasLogin(client, laptop)

    assert login.send("UNLOCK").status_code == 200
    assert boss.get(f"{app_workspace}/lock").json["held"] is False
    assert login.send("DELETE").status_code == 403


def test_the_login_of_an_alias_does_nothing_with_the_id_of_anothers_lock(
    client: FlaskClient, boss: Caller, aliases: str, laptop: dict[str, Any]
) -> None:
    holder = AliasLogin(client, laptop)
    other = AliasLogin(client, boss.made(aliases, {"name": "ci", "access": "read-write"}))
    info = lock_info()
    holder.send("LOCK", json=info)

    told = json.loads(other.send("LOCK", json=lock_info()).data)["ID"]
    wrote = other.send("POST", data=state_document(), query_string={"ID": told})
    locked = other.send("LOCK", json=info)
    own = holder.send("POST", data=state_document(), query_string={"ID": told})

    assert told == info["ID"]
    assert (wrote.status_code, locked.status_code, own.status_code) == (423, 423, 200)


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "LOCK", "UNLOCK"])
def test_whatever_does_not_fit_is_the_same_401(
    client: FlaskClient, boss: Caller, aliases: str, app: Flask, verb: str
) -> None:
    names = ("wrong-password", "wrong-username", "revoked", "expired", "never")
    made = {n: boss.made(aliases, {"name": n, "access": "read-write"}) for n in names}
    made["wrong-password"]["password"] = made["never"]["password"]
    made["wrong-username"]["username"] = "somebody"
    boss.delete(f"{aliases}/revoked")
    _expire(app, "expired")
    made["never"]["address"] += "x"

    answers = [AliasLogin(client, made[name]).send(verb) for name in names]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.data for answer in answers}) == 1
    assert all(a.headers["WWW-Authenticate"].startswith("Basic") for a in answers)


@pytest.mark.parametrize(
    "address", ["%00", "a%00b", "state", "STATE", "%ff", "%ed%a0%80", "..", "x" * 5000, "lock", "ä"]
)
def test_what_can_be_no_alias_is_a_401_too(
    client: FlaskClient, laptop: dict[str, Any], address: str
) -> None:
    answer = AliasLogin(client, laptop).send("GET", f"/api/terraform/{address}")

    assert answer.status_code == 401


def test_a_login_opens_nothing_but_its_address(
    client: FlaskClient, boss: Caller, shop: str, aliases: str, laptop: dict[str, Any]
) -> None:
    boss.made(f"{shop}/workspaces", {"template": "app", "name": "other"})
    other = boss.made(f"{shop}/workspaces/other/aliases", {"name": "other", "access": "read-write"})
    login = AliasLogin(client, laptop)

    for path in [
        AliasLogin(client, other).path,
        "/api/terraform/state/shop/app",
        "/api/terraform/state/shop",
        "/api/terraform/",
        f"{login.path}/more",
        "/api/v1/whoami",
        "/api/v1/projects",
        f"/api/v1{aliases}",
    ]:
        assert login.send("GET", path).status_code == 401, path
    bearer = {"Authorization": f"Bearer {laptop['password']}"}
    assert client.get(login.path, headers=bearer).status_code == 401


def test_a_token_with_the_scope_opens_the_address_too(
    client: FlaskClient, boss: Caller, shop: str, laptop: dict[str, Any], stranger: Caller
) -> None:
    path = AliasLogin(client, laptop).path
    reader = boss.with_scopes("state:read", project="shop")
    nobody = boss.with_scopes("runs:read", project="shop")

    assert reader.call("GET", path).status_code == 404
    assert client.get(path, auth=("anybody", reader.token)).status_code == 404
    assert reader.call("LOCK", path, json=lock_info()).status_code == 403
    assert nobody.call("GET", path).status_code == 403
    assert stranger.call("GET", path).status_code == 403
    assert stranger.call("GET", path).data == stranger.call("GET", path + "x").data
    assert Caller(client, "stateroom_x").call("GET", path).status_code == 401


def test_a_revoked_address_is_closed_to_tokens_too(
    boss: Caller, client: FlaskClient, aliases: str, laptop: dict[str, Any]
) -> None:
    path = AliasLogin(client, laptop).path
    assert boss.call("GET", path).status_code == 404

    assert boss.delete(f"{aliases}/{laptop['id']}").status_code == 204
    assert boss.delete(f"{aliases}/{laptop['id']}").status_code == 204

    assert boss.call("GET", path).status_code == 403
    assert boss.get(f"{aliases}/{laptop['id']}").json["revoked_at"] is not None
    assert boss.made(aliases, {"name": "ann-laptop", "access": "read-only"})["id"] != laptop["id"]


def test_the_login_of_a_stored_key_is_that_keys(
    boss: Caller, client: FlaskClient, shop: str, aliases: str
) -> None:
    boss.made(f"{shop}/keys", LOGIN)

    made = boss.made(aliases, {"name": "team", "access": "read-only", "key": "laptops"})

    assert (made["username"], made["password"]) == ("ann", None)
    assert made["key"]["name"] == "laptops"
    assert "correct horse" not in json.dumps(made)
    assert "YOUR_PASSWORD" in made["snippets"]["terraform"]
    login = AliasLogin(client, made, "correct horse")
    assert login.send("GET").status_code == 404
    for username, password in [
        ("ann", "wrong"),
        ("bob", "correct horse"),
        ("", ""),
        ("ann", ""),
        ("ann", "correct horse\0"),
    ]:
        assert client.get(login.path, auth=(username, password)).status_code == 401


def test_a_key_that_is_changed_changes_the_login_of_its_aliases(
    boss: Caller, client: FlaskClient, shop: str, aliases: str
) -> None:
    boss.made(f"{shop}/keys", LOGIN)
    made = boss.made(aliases, {"name": "team", "access": "read-only", "key": "laptops"})

    boss.patch(f"{shop}/keys/laptops", {"username": "bob", "password": "another horse"})

    assert AliasLogin(client, made, "correct horse").send("GET").status_code == 401
    shown = boss.get(f"{aliases}/team").json
    assert shown["username"] == "bob"
    assert AliasLogin(client, shown, "another horse").send("GET").status_code == 404


def test_a_key_whose_secret_is_damaged_is_an_error_and_no_empty_state(
    boss: Caller, client: FlaskClient, shop: str, aliases: str, app: Flask
) -> None:
    boss.made(f"{shop}/keys", LOGIN)
    other = boss.made(f"{shop}/keys", {**LOGIN, "name": "other"})
    made = boss.made(aliases, {"name": "team", "access": "read-only", "key": "laptops"})

    with app.extensions["stateroom"].database.transaction() as db:
        secret = db.get_one(Key, other["id"]).secret
        db.execute(update(Key).where(Key.name == "laptops").values(secret=secret))

    assert AliasLogin(client, made, "correct horse").send("GET").status_code == 500


def test_the_last_use_of_a_login_is_noted(
    boss: Caller, client: FlaskClient, aliases: str, laptop: dict[str, Any]
) -> None:
    assert boss.get(f"{aliases}/ann-laptop").json["last_used_at"] is None
    AliasLogin(client, laptop, "wrong").send("GET")
    assert boss.get(f"{aliases}/ann-laptop").json["last_used_at"] is None

    AliasLogin(client, laptop).send("GET")
    first = boss.get(f"{aliases}/ann-laptop").json["last_used_at"]
    AliasLogin(client, laptop).send("GET")

    assert first is not None
    assert boss.get(f"{aliases}/ann-laptop").json["last_used_at"] == first


@one_database
def test_a_deleted_state_is_410_for_who_has_the_login(
    boss: Caller, client: FlaskClient, laptop: dict[str, Any]
) -> None:
    login = AliasLogin(client, laptop)
    login.send("POST", data=state_document())
    boss.call("DELETE", "/api/terraform/state/shop/app")

    assert login.send("GET").status_code == 410
    assert AliasLogin(client, laptop, "wrong").send("GET").status_code == 401
    locked = login.send("LOCK", json=lock_info())
    assert (locked.status_code, locked.json["ID"]) == (423, "state-deleted")  # type: ignore[index]


def test_an_alias_survives_a_new_name_and_goes_with_its_workspace(
    boss: Caller, client: FlaskClient, app_workspace: str, laptop: dict[str, Any]
) -> None:
    login = AliasLogin(client, laptop)
    boss.patch("/projects/shop", {"name": "store"})
    boss.patch("/projects/store/workspaces/app", {"name": "renamed"})
    assert login.send("GET").status_code == 404

    assert boss.delete("/projects/store/workspaces/renamed").status_code == 204

    assert login.send("GET").status_code == 401


@one_database
def test_no_password_is_kept_in_clear_anywhere(
    boss: Caller,
    client: FlaskClient,
    shop: str,
    aliases: str,
    laptop: dict[str, Any],
    settings: Settings,
    capfd: pytest.CaptureFixture[str],
) -> None:
    boss.made(f"{shop}/keys", LOGIN)
    team = boss.made(aliases, {"name": "team", "access": "read-only", "key": "laptops"})
    for found in (laptop, {**team, "password": "correct horse"}):
        AliasLogin(client, found).send("GET")
        AliasLogin(client, found, found["password"] + "x").send("GET")

    kept = b"".join(p.read_bytes() for p in Path(settings.data_dir).rglob("*") if p.is_file())
    said = "".join(capfd.readouterr())

    assert b"ann-laptop" in kept  # the database is among it
    for secret in (laptop["password"], "correct horse"):
        assert secret.encode() not in kept
        assert secret not in said


def _expire(app: Flask, name: str) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(update(Alias).where(Alias.name == name).values(expires_at=past))
        proven.accept(db, Alias, Alias.name == name)
