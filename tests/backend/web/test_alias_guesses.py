"""Guessing at the login of an alias: slow at every address of it, and no harm to its owner."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from app import create_app
from backend.catalogue import keys
from backend.config import Settings
from backend.models import Key
from backend.people import passwords, throttles
from backend.people.throttles import Limit
from backend.sealing import bindings, proven
from backend.sealing.crypto import seal_value
from backend.states import alias_logins
from backend.transactions import Installation
from tests.support.alias_login import AliasLogin
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import lock_info, state_document

RIGHT = "correct horse battery"
LOGIN = {"kind": "password", "name": "laptops", "username": "ann", "password": RIGHT}


@pytest.fixture
def team(boss: Caller, shop: str, aliases: str) -> dict[str, Any]:
    """An alias with a password that a person chose."""
    boss.made(f"{shop}/keys", LOGIN)
    made: dict[str, Any] = boss.made(
        aliases, {"name": "team", "access": "read-write", "key": "laptops"}
    )
    return made | {"password": RIGHT}


def from_address(login: AliasLogin, address: str, **options: Any) -> int:
    return login.send("GET", environ_base={"REMOTE_ADDR": address}, **options).status_code


@pytest.mark.parametrize("kind", ["generated", "chosen"])
def test_an_alias_is_guessed_ten_times_and_then_slowly_whichever_way_it_is_spelled(
    client: FlaskClient, laptop: dict[str, Any], team: dict[str, Any], kind: str
) -> None:
    login = AliasLogin(client, team if kind == "chosen" else laptop, "wrong horse battery")
    ways: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", login.path, {}),
        ("GET", f"{login.path}/", {}),
        ("HEAD", login.path, {}),
        ("POST", login.path, {"data": state_document()}),
        ("PUT", f"{login.path}?ID=x", {"data": state_document()}),
        ("LOCK", login.path, {"json": lock_info()}),
        ("LOCK", f"{login.path}/lock", {"json": lock_info()}),
        ("POST", f"{login.path}/lock/", {"json": lock_info()}),
        ("UNLOCK", login.path, {}),
        ("DELETE", f"{login.path}/lock", {}),
        ("DELETE", login.path, {}),
        ("GET", login.path.replace("/terraform", "/%74erraform"), {}),
    ]

    answers = [login.send(verb, path, **sent) for verb, path, sent in ways]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    problem = refused(answers[-1], 429, "too-many-attempts")
    assert problem["seconds"] <= 30
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 30


def test_a_right_generated_password_is_never_kept_out(
    client: FlaskClient, laptop: dict[str, Any]
) -> None:
    wrong, right = AliasLogin(client, laptop, "wrong horse battery"), AliasLogin(client, laptop)

    assert [wrong.send("GET").status_code for _ in range(12)][-1] == 429

    assert right.send("GET").status_code == 404


def test_who_guesses_keeps_nobody_at_another_address_out(
    client: FlaskClient, team: dict[str, Any]
) -> None:
    wrong, right = AliasLogin(client, team, "wrong horse battery"), AliasLogin(client, team)

    guessed = [from_address(wrong, "192.0.2.1") for _ in range(11)]

    assert guessed == [401] * 10 + [429]
    assert from_address(right, "192.0.2.1") == 429
    assert from_address(right, "192.0.2.2") == 404
    # what was right is known for some minutes, wherever it comes from
    assert from_address(right, "192.0.2.1") == 404


def test_many_addresses_together_guess_slowly_too(
    client: FlaskClient, laptop: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "FROM_ALL_ADDRESSES", Limit(free=20, every=300.0))
    wrong = AliasLogin(client, laptop, "wrong horse battery")

    guessed = [from_address(wrong, f"192.0.2.{n}") for n in range(20)]

    assert set(guessed) == {401}
    assert from_address(wrong, "192.0.2.77") == 429


@one_database
def test_a_client_that_changes_its_ipv6_address_stays_the_same(
    client: FlaskClient, laptop: dict[str, Any]
) -> None:
    wrong = AliasLogin(client, laptop, "wrong horse battery")

    guessed = [from_address(wrong, f"2001:db8::{n:x}") for n in range(11)]

    assert guessed == [401] * 10 + [429]


@one_database
def test_behind_a_trusted_proxy_each_client_is_counted_for_itself(
    settings: Settings, boss: Caller, client: FlaskClient, laptop: dict[str, Any]
) -> None:
    assert boss.token
    behind = create_app(settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"}))
    trusting = AliasLogin(behind.test_client(), laptop, "wrong horse battery")
    careful = AliasLogin(client, laptop, "wrong horse battery")

    def guess(login: AliasLogin, forwarded: str) -> int:
        return login.send("GET", headers={"X-Forwarded-For": forwarded}).status_code

    guessed = [guess(trusting, f"198.51.100.{n}, 192.0.2.1") for n in range(11)]

    assert guessed == [401] * 10 + [429]
    assert guess(trusting, "192.0.2.2") == 401
    # nobody trusts a proxy here: what the header says makes no difference
    untrusted = [guess(careful, f"192.0.2.{n}") for n in range(11)]
    assert untrusted == [401] * 10 + [429]
    behind.extensions["stateroom"].database.close()


def test_an_unknown_address_is_the_same_401_however_often(
    client: FlaskClient, laptop: dict[str, Any]
) -> None:
    login = AliasLogin(client, laptop | {"address": laptop["address"] + "x"})

    assert {login.send("GET").status_code for _ in range(12)} == {401}


def test_right_passwords_need_neither_a_statement_nor_argon2(
    app: Flask, client: FlaskClient, laptop: dict[str, Any], team: dict[str, Any]
) -> None:
    chosen, generated = AliasLogin(client, team), AliasLogin(client, laptop)
    assert chosen.send("GET").status_code == 404
    here: Installation = app.extensions["stateroom"]
    with here.database.transaction() as db:
        db.execute(text("DROP TABLE attempts"))
    for _ in range(alias_logins.ROOM.at_once):
        assert alias_logins.ROOM._places.acquire(timeout=30)

    try:
        answers = [login.send("GET").status_code for login in (chosen, generated) * 3]
    finally:
        for _ in range(alias_logins.ROOM.at_once):
            alias_logins.ROOM._places.release()

    assert answers == [404] * 6


@one_database
def test_only_a_few_passwords_are_checked_at_once(
    client: FlaskClient, team: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    login = AliasLogin(client, team)
    monkeypatch.setattr(alias_logins.ROOM, "_seconds", 0.05)
    for _ in range(alias_logins.ROOM.at_once):
        assert alias_logins.ROOM._places.acquire(timeout=30)

    try:
        busy = login.send("GET")
    finally:
        for _ in range(alias_logins.ROOM.at_once):
            alias_logins.ROOM._places.release()

    refused(busy, 503, "busy")
    assert busy.headers["Retry-After"]
    assert login.send("GET").status_code == 404


def test_what_was_right_is_forgotten_after_a_while_and_when_there_is_too_much() -> None:
    short, few = alias_logins._Recent(seconds=0.0), alias_logins._Recent(most=2)

    short.put(b"one", "x")
    for key in (b"one", b"two", b"three"):
        few.put(key, "x")

    assert short.get(b"one") is None
    assert [few.get(key) for key in (b"one", b"two", b"three")] == [None, "x", "x"]


@pytest.mark.parametrize("password", ["x", "eleven char"])
def test_a_short_password_is_no_login_of_an_alias(
    boss: Caller, shop: str, aliases: str, password: str
) -> None:
    boss.made(f"{shop}/keys", {**LOGIN, "password": password})
    wanted = {"name": "team", "access": "read-only", "key": "laptops"}

    problem = refused(boss.post(aliases, wanted), 422, "password-too-short")

    assert "12" in problem["detail"]
    boss.patch(f"{shop}/keys/laptops", {"password": RIGHT})
    boss.made(aliases, wanted)
    changed = boss.patch(f"{shop}/keys/laptops", {"password": password})
    refused(changed, 422, "password-too-short")
    boss.delete(f"{aliases}/team")
    assert boss.patch(f"{shop}/keys/laptops", {"password": password}).status_code == 200


def test_a_short_password_of_before_opens_nothing_and_says_what_to_do(
    app: Flask, client: FlaskClient, team: dict[str, Any]
) -> None:
    here: Installation = app.extensions["stateroom"]
    with here.database.transaction() as db:
        sealed = seal_value(here.keyring, b'{"password": "x"}', bindings.key(team["key"]["id"]))
        db.execute(text("UPDATE keys SET secret = :sealed"), {"sealed": sealed})
        proven.accept(db, Key)

    right = AliasLogin(client, team, "x").send("GET")

    problem = refused(right, 403, "password-too-short")
    assert "longer" in problem["detail"]
    assert AliasLogin(client, team, "y").send("GET").status_code == 401


def test_people_and_aliases_have_the_same_rule_for_passwords() -> None:
    assert keys.MIN_LOGIN_PASSWORD == passwords.MIN_LENGTH
