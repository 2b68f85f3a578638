from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import extract_parameters
from flask import Flask
from sqlalchemy import update

from backend.db import now
from backend.models import Token
from backend.people import passwords
from backend.sealing import proven
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import PASSWORD, log_in, new_person

LONGEST_TEST = 180  # seconds: then pytest ends it


@pytest.fixture
def api_key(boss: Caller, shop: str) -> dict[str, Any]:
    """A project's token, as a platform would hold it."""
    body = {"name": "platform", "scopes": ["runs:read", "TFSTATE_SAVE"]}
    made: dict[str, Any] = boss.made(f"{shop}/tokens", body)
    return {"client_id": made["id"], "client_secret": made["secret"]}


def uncounted() -> None:
    """Count no attempt."""


def post(caller: Caller, **sent: Any) -> Any:
    return caller.client.post("/api/login", **sent)


def bearer(caller: Caller, answer: Any) -> Caller:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return Caller(caller.client, answer.json["access_token"])


@pytest.mark.parametrize("path", ["/api/login", "/api/v1/login"])
def test_an_id_and_a_secret_become_a_token_with_the_same_rights(
    boss: Caller, api_key: dict[str, Any], path: str
) -> None:
    answer: Any = boss.client.post(path, json=api_key)

    who = bearer(boss, answer).get("/whoami").json
    assert (answer.json["token_type"], answer.json["scope"]) == (
        "Bearer", "runs:read state:read state:write",
    )  # fmt: skip
    assert 3600 - LONGEST_TEST < answer.json["expires_in"] <= 3600
    assert who["scopes"] == ["runs:read", "state:read", "state:write"]
    assert who["project_id"] == boss.get("/projects/shop").json["id"]
    assert answer.headers["Cache-Control"] == "no-store"


@one_database
def test_meshstacks_names_in_json_and_oauths_in_a_form_do_too(
    boss: Caller, api_key: dict[str, Any]
) -> None:
    mesh = {"clientId": api_key["client_id"], "clientSecret": api_key["client_secret"]}
    oauth = {**api_key, "grant_type": "client_credentials"}
    basic = (api_key["client_id"], api_key["client_secret"])

    answers = [
        post(boss, json=mesh),
        post(boss, data=oauth),
        post(boss, data={"grant_type": "client_credentials"}, auth=basic),
        post(boss, auth=basic),
    ]

    for answer in answers:
        assert bearer(boss, answer).get("/projects/shop").status_code == 200


def test_the_token_of_a_login_opens_the_state_protocol(
    boss: Caller, api_key: dict[str, Any]
) -> None:
    token = bearer(boss, post(boss, json=api_key))

    assert token.call("GET", "/api/terraform/state/shop/app").status_code == 404


def test_fewer_scopes_are_given_when_they_are_asked_for(
    boss: Caller, api_key: dict[str, Any]
) -> None:
    answer = log_in(boss, **api_key, scope="runs:read")

    assert answer.json["scope"] == "runs:read"
    refused(log_in(boss, **api_key, scope="admin"), 403, "scope-missing")
    refused(log_in(boss, **api_key, scope="root"), 422, "invalid")


def test_a_logins_token_ends_with_the_one_it_was_made_with(
    boss: Caller, api_key: dict[str, Any]
) -> None:
    token = bearer(boss, log_in(boss, **api_key))
    below = bearer(boss, log_in(boss, **_as_client(token)))

    boss.delete(f"/tokens/{api_key['client_id']}")

    for dead in (token, below):
        refused(dead.get("/whoami"), 401, "unauthorised")
    refused(log_in(boss, **api_key), 401, "login-refused")


def _as_client(token: Caller) -> dict[str, str]:
    return {"client_id": token.get("/whoami").json["token_id"], "client_secret": token.token}


def test_a_logins_token_never_outlives_the_one_it_was_made_with(boss: Caller, app: Flask) -> None:
    made = boss.made("/tokens", {"name": "short", "scopes": ["admin"], "expires_in_days": 1})
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(
            update(Token).where(Token.id == made["id"]).values(expires_at=now(timedelta(minutes=5)))
        )
        proven.accept(db, Token, Token.id == made["id"])

    answer = log_in(boss, client_id=made["id"], client_secret=made["secret"])

    assert 300 - LONGEST_TEST < answer.json["expires_in"] <= 300


def test_a_name_and_a_password_become_a_session_of_twelve_hours(boss: Caller, shop: str) -> None:
    new_person(boss, shop="guest")
    form = {"grant_type": "password", "username": "ada", "password": PASSWORD}

    answer = post(boss, data=form)

    ada = bearer(boss, answer)
    assert 12 * 3600 - LONGEST_TEST < answer.json["expires_in"] <= 12 * 3600
    assert ada.get("/whoami").json["name"] == "ada"
    assert ada.get(shop).status_code == 200


@one_database
def test_a_password_of_digits_is_a_password_in_a_form_too(boss: Caller) -> None:
    boss.made("/users", {"name": "ada", "password": "123456789012"})

    form = {"username": "ada", "password": "123456789012"}

    assert post(boss, data=form).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": "ada", "password": "wrong horse battery"},
        {"username": "nobody", "password": PASSWORD},
        {"username": "no-password", "password": PASSWORD},
        {"username": "a\0b", "password": PASSWORD},
        {"username": "Ada", "password": PASSWORD},
        {"client_id": "tok_nothing", "client_secret": PASSWORD},
        {"client_id": "tok\0", "client_secret": PASSWORD},
    ],
)
def test_every_wrong_login_gets_the_same_401(boss: Caller, wrong: dict[str, str]) -> None:
    boss.made("/users", {"name": "ada", "password": PASSWORD})
    boss.made("/users", {"name": "no-password"})

    answer = log_in(boss, **wrong)

    detail = refused(answer, 401, "login-refused")["detail"]
    assert detail == "The login is refused: the name or the secret is wrong or disabled."
    assert "WWW-Authenticate" in answer.headers


def test_a_secret_of_another_token_is_refused(boss: Caller, api_key: dict[str, Any]) -> None:
    refused(log_in(boss, **{**api_key, "client_secret": boss.token}), 401, "login-refused")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "login-invalid"),
        ({"client_id": "tok_x"}, "login-invalid"),
        ({"username": "ada"}, "login-invalid"),
        ({"username": "", "password": ""}, "login-invalid"),
        ({"grant_type": "password", "client_id": "x", "client_secret": "y"}, "login-invalid"),
        ({"grant_type": "implicit"}, "invalid-request"),
        ({"username": 1, "password": 2}, "invalid-request"),
        ({"username": "ada", "password": "x" * 1025}, "invalid-request"),
        ({"username": "ada", "password": "\ud800 horse battery"}, "invalid-request"),
        ([], "invalid-request"),
        ("text", "invalid-request"),
    ],
)
@one_database
def test_a_wrong_body_is_refused(boss: Caller, body: Any, code: str) -> None:
    refused(post(boss, json=body), 422, code)


@one_database
def test_a_body_that_is_neither_json_nor_a_form_is_refused(boss: Caller) -> None:
    answer = post(boss, data="<x/>", content_type="application/xml")

    refused(answer, 415, "unsupported-media-type")


def test_a_refused_login_is_audited_without_what_was_typed(
    boss: Caller, api_key: dict[str, Any]
) -> None:
    ada = new_person(boss)
    log_in(boss, username="ada", password="wrong horse battery")
    log_in(boss, username="typed-secret-as-name", password=PASSWORD)
    log_in(boss, client_id=api_key["client_id"], client_secret="typed-secret")

    log = boss.get("/audit", action="login.refused").json["items"]

    assert [entry["object"] for entry in log] == [api_key["client_id"], "unknown", ada.id]
    everything = boss.get("/audit", limit=200).get_data(as_text=True)
    assert "typed-secret" not in everything
    assert "wrong horse" not in everything


def test_a_login_is_audited_as_the_person(boss: Caller) -> None:
    ada = new_person(boss)

    [entry] = boss.get("/audit", principal=ada.id, action="login").json["items"]

    assert entry["principal"] == "ada"


@one_database
def test_a_name_is_guessed_ten_times_and_then_slowly(boss: Caller) -> None:
    new_person(boss)

    for name in ("ada", "nobody"):
        answers = [log_in(boss, username=name, password=f"guess number {n}") for n in range(11)]
        assert [answer.status_code for answer in answers] == [401] * 10 + [429]
        refused(answers[-1], 429, "too-many-attempts")
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 30
    assert log_in(boss, username="ada", password=PASSWORD).status_code == 429
    assert log_in(boss, username="eve", password=PASSWORD).status_code == 401


def test_who_guesses_keeps_nobody_at_another_address_from_signing_in(boss: Caller) -> None:
    new_person(boss)
    for _ in range(11):
        guessed = log_in(boss, username="ada", password="wrong horse battery")
    assert guessed.status_code == 429

    right = {"username": "ada", "password": PASSWORD}
    elsewhere = post(boss, json=right, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    assert elsewhere.status_code == 200
    assert log_in(boss, **right).status_code == 429


@one_database
def test_guesses_at_ones_own_old_password_are_counted_too(boss: Caller) -> None:
    ada = new_person(boss)
    body = {"old_password": "wrong horse battery", "password": "another horse battery"}

    answers = [ada.patch("/users/me", body).status_code for _ in range(11)]

    assert answers == [403] * 10 + [429]


@one_database
def test_the_right_password_forgives_the_wrong_ones(boss: Caller) -> None:
    new_person(boss)

    for _ in range(3):
        for _ in range(5):
            log_in(boss, username="ada", password="wrong horse battery")
        assert log_in(boss, username="ada", password=PASSWORD).status_code == 200


@one_database
def test_too_many_passwords_at_once_are_asked_to_try_again(
    boss: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss.made("/users", {"name": "ada", "password": PASSWORD})
    monkeypatch.setattr(passwords.ROOM, "_seconds", 0.05)
    taken = [passwords.ROOM._places.acquire(timeout=30) for _ in range(passwords.ROOM.at_once)]
    try:
        answer = log_in(boss, username="ada", password=PASSWORD)
    finally:
        for _ in taken:
            passwords.ROOM._places.release()

    refused(answer, 503, "busy")
    assert answer.headers["Retry-After"]
    assert log_in(boss, username="ada", password=PASSWORD).status_code == 200


def test_no_more_than_two_passwords_are_checked_at_once() -> None:
    kept = passwords.hashed(PASSWORD)
    most: list[int] = []

    def check() -> None:
        most.append(passwords.ROOM._places._value)
        assert passwords.verify(kept, PASSWORD, uncounted).fits

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert passwords.ROOM._places._value == passwords.ROOM.at_once


def test_an_unknown_name_costs_the_same_hash_as_a_wrong_password() -> None:
    kept = passwords.hashed(PASSWORD)

    assert not passwords.verify(None, PASSWORD, uncounted).fits

    assert extract_parameters(passwords._nobodys()) == extract_parameters(kept)


def test_a_login_takes_away_what_ended_long_ago(boss: Caller, app: Flask) -> None:
    ada = new_person(boss)
    old = ada.get("/whoami").json["token_id"]
    with app.extensions["stateroom"].database.transaction() as db:
        ended = datetime.now(UTC) - timedelta(days=31)
        db.execute(update(Token).where(Token.id == old).values(expires_at=ended))
        proven.accept(db, Token, Token.id == old)

    log_in(boss, username="ada", password=PASSWORD)

    refused(boss.get(f"/tokens/{old}"), 404, "not-found")


@one_database
def test_a_body_that_is_nested_too_deeply_is_refused(boss: Caller) -> None:
    body = '{"username": ' + "[" * 7_000 + "]" * 7_000 + "}"

    answer = boss.client.post("/api/login", data=body, content_type="application/json")

    refused(answer, 422, "body-not-json")


def test_a_stranger_cannot_keep_the_server_busy_with_a_large_body(boss: Caller) -> None:
    answer: Any = post(boss, json={f"k{n}": n for n in range(60_000)})

    assert answer.status_code == 413
