from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask

from backend.models import User
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import PASSWORD, log_in, new_person, signed_in

OTHER = "another horse battery"


def test_an_administrator_makes_a_person_who_signs_in(boss: Caller) -> None:
    made = boss.made("/users", {"name": "ada", "password": PASSWORD})

    ada = Caller(boss.client, signed_in(boss, "ada")).get("/users/me").json

    assert (made["name"], made["is_admin"], made["has_password"]) == ("ada", False, True)
    assert made["last_login_at"] is None
    assert ada["last_login_at"] is not None
    assert boss.get("/users/ada").json == boss.get(f"/users/{made['id']}").json == ada
    assert [user["name"] for user in boss.get("/users").json["items"]] == ["ada"]


@one_database
def test_a_password_is_kept_as_its_argon2id_hash_and_never_shown(boss: Caller, app: Flask) -> None:
    made = boss.post("/users", {"name": "ada", "password": PASSWORD})

    with app.extensions["stateroom"].database.reading() as db:
        kept = db.get_one(User, made.json["id"]).password_hash
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in made.get_data(as_text=True)
    assert kept not in boss.get("/users").get_data(as_text=True)


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"name": "ada", "password": "eleven char"}, "invalid-request"),
        ({"name": "ada", "password": "x" * 1025}, "invalid-request"),
        ({"name": "ada", "password": 1}, "invalid-request"),
        ({"name": "ada", "is_admin": "yes"}, "invalid-request"),
        ({"name": "ada", "colour": "red"}, "invalid-request"),
        ({"name": "Ada"}, "name-invalid"),
        ({"name": "me"}, "name-reserved"),
        ({"name": "usr_01m7ymfcawexf026zr0jkbcfzt"}, "name-reserved"),
    ],
)
def test_a_wrong_user_is_refused(boss: Caller, body: dict[str, Any], code: str) -> None:
    refused(boss.post("/users", body), 422, code)


def test_a_name_is_given_once(boss: Caller) -> None:
    boss.made("/users", {"name": "ada"})

    refused(boss.post("/users", {"name": "ada"}), 409, "name-taken")


def test_a_post_that_is_repeated_makes_one_user(boss: Caller) -> None:
    body = {"name": "ada", "password": PASSWORD}

    first = boss.made("/users", body, **{"Idempotency-Key": "k"})

    assert boss.made("/users", body, **{"Idempotency-Key": "k"}) == first


@one_database
def test_only_administrators_of_the_installation_see_users(boss: Caller, stranger: Caller) -> None:
    ada = new_person(boss)

    for somebody in (stranger, ada):
        refused(somebody.get("/users"), 403, "forbidden")
        refused(somebody.post("/users", {"name": "eve"}), 403, "forbidden")
        refused(somebody.get("/users/ada"), 403, "forbidden")
        refused(somebody.patch("/users/ada", {"is_admin": True}), 403, "forbidden")
        refused(somebody.delete("/users/ada"), 403, "forbidden")
    assert boss.get("/users/ada").json["is_admin"] is False


@one_database
def test_a_missing_user_is_not_found(boss: Caller) -> None:
    for name in ("nobody", "usr_01m7ymfcawexf026zr0jkbcfzt", "a%00b"):
        refused(boss.get(f"/users/{name}"), 404, "not-found")
        refused(boss.patch(f"/users/{name}", {}), 404, "not-found")
        refused(boss.delete(f"/users/{name}"), 404, "not-found")


@one_database
def test_a_token_without_an_owner_has_no_me(boss: Caller) -> None:
    refused(boss.get("/users/me"), 404, "no-person")
    body = {"old_password": PASSWORD, "password": OTHER}
    refused(boss.patch("/users/me", body), 404, "no-person")


def test_a_person_changes_the_password_and_stays_signed_in_here_alone(boss: Caller) -> None:
    ada = new_person(boss)
    elsewhere = Caller(boss.client, signed_in(boss, "ada"))
    token = ada.with_token("runs:read")

    body = {"old_password": PASSWORD, "password": OTHER}
    assert ada.patch("/users/me", body).status_code == 200

    assert ada.get("/users/me").status_code == 200
    assert token.get("/whoami").status_code == 200
    refused(elsewhere.get("/users/me"), 401, "unauthorised")
    assert log_in(boss, username="ada", password=PASSWORD).status_code == 401
    assert log_in(boss, username="ada", password=OTHER).status_code == 200


@one_database
def test_the_old_password_has_to_be_right(boss: Caller) -> None:
    ada = new_person(boss)

    wrong = {"old_password": OTHER, "password": OTHER}
    refused(ada.patch("/users/me", wrong), 403, "old-password-wrong")
    short = {"old_password": PASSWORD, "password": "short"}
    refused(ada.patch("/users/me", short), 422, "invalid-request")

    assert log_in(boss, username="ada", password=PASSWORD).status_code == 200


@one_database
def test_the_old_password_is_guessed_as_slowly_as_at_the_login(boss: Caller) -> None:
    ada = new_person(boss)
    wrong = {"old_password": OTHER, "password": OTHER}
    answers = [ada.patch("/users/me", wrong).status_code for _ in range(11)]

    assert answers == [403] * 10 + [429]


def test_a_password_that_an_administrator_sets_signs_the_person_out(boss: Caller) -> None:
    ada = new_person(boss)

    assert boss.patch("/users/ada", {"password": OTHER}).status_code == 200

    refused(ada.get("/users/me"), 401, "unauthorised")
    assert log_in(boss, username="ada", password=OTHER).status_code == 200


@one_database
def test_without_a_password_nobody_signs_in(boss: Caller) -> None:
    new_person(boss)

    assert boss.patch("/users/ada", {"password": None}).json["has_password"] is False

    assert log_in(boss, username="ada", password=PASSWORD).status_code == 401


def test_what_a_disabled_person_made_is_dead_at_once_and_tokens_come_back(boss: Caller) -> None:
    ada = new_person(boss)
    token = ada.with_token("runs:read")

    assert boss.patch("/users/ada", {"disabled": True}).json["disabled_at"] is not None

    refused(ada.get("/whoami"), 401, "unauthorised")
    refused(token.get("/whoami"), 401, "unauthorised")
    assert log_in(boss, username="ada", password=PASSWORD).status_code == 401
    assert boss.patch("/users/ada", {"disabled": False}).json["disabled_at"] is None
    assert token.get("/whoami").status_code == 200
    refused(ada.get("/whoami"), 401, "unauthorised")  # the session was ended


def test_a_deleted_person_leaves_no_token_and_no_membership(boss: Caller, shop: str) -> None:
    ada = new_person(boss, shop="manager")
    token = ada.with_token("runs:read")
    below = Caller(boss.client, _child(ada))

    assert boss.delete("/users/ada").status_code == 204

    for dead in (ada, token, below):
        refused(dead.get("/whoami"), 401, "unauthorised")
    assert boss.get(f"{shop}/members").json["items"] == []
    again = new_person(boss)
    assert again.get("/projects").json["items"] == []


def _child(person: Caller) -> str:
    parent = person.made("/tokens", {"name": "parent", "scopes": ["admin"]})
    made = Caller(person.client, parent["secret"]).made(
        "/tokens", {"name": "child", "scopes": ["runs:read"]}
    )
    secret: str = made["secret"]
    return secret


def test_a_person_who_is_administrator_does_everything_until_he_is_not(
    boss: Caller, shop: str
) -> None:
    ada = new_person(boss, is_admin=True)

    assert ada.get(shop).status_code == 200
    assert ada.made("/projects", {"name": "second"})
    assert ada.get("/whoami").json["roles"] is None

    boss.patch("/users/ada", {"is_admin": False})

    refused(ada.get(shop), 404, "not-found")
    refused(ada.post("/projects", {"name": "third"}), 403, "forbidden")


def test_the_last_who_may_administer_is_not_taken_away(boss: Caller) -> None:
    boss_id = boss.get("/whoami").json["token_id"]
    refused(boss.delete(f"/tokens/{boss_id}"), 409, "last-administrator")

    ada = new_person(boss, is_admin=True)
    assert ada.delete(f"/tokens/{boss_id}").status_code == 204

    for change in ({"is_admin": False}, {"disabled": True}, {"password": None}):
        refused(ada.patch("/users/ada", change), 409, "last-administrator")
    refused(ada.delete("/users/ada"), 409, "last-administrator")
    assert ada.get("/users/ada").json["is_admin"] is True


def test_a_token_that_ends_someday_does_not_count_as_an_administrator(boss: Caller) -> None:
    boss_id = boss.get("/whoami").json["token_id"]
    soon = boss.made("/tokens", {"name": "x", "scopes": ["admin"], "expires_in_days": 9})

    answer = Caller(boss.client, soon["secret"]).delete(f"/tokens/{boss_id}")

    refused(answer, 409, "last-administrator")


def test_what_is_done_to_people_is_in_the_audit_log_without_a_password(boss: Caller) -> None:
    ada = new_person(boss)
    ada.patch("/users/me", {"old_password": PASSWORD, "password": OTHER})
    boss.patch("/users/ada", {"is_admin": True, "password": PASSWORD})
    boss.delete("/users/ada")

    log = boss.get("/audit", object=ada.id)

    actions = [entry["action"] for entry in log.json["items"]]
    assert actions == ["user.delete", "user.update", "user.password", "user.create"]
    everything = boss.get("/audit", limit=200).get_data(as_text=True)
    assert PASSWORD not in everything
    assert OTHER not in everything


@one_database
def test_a_hash_with_other_parameters_is_made_again_at_the_login(boss: Caller, app: Flask) -> None:
    ada = new_person(boss)
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with app.extensions["stateroom"].database.transaction() as db:
        db.get_one(User, ada.id).password_hash = cheap.hash(PASSWORD)

    assert log_in(boss, username="ada", password=PASSWORD).status_code == 200

    with app.extensions["stateroom"].database.reading() as db:
        kept = db.get_one(User, ada.id).password_hash
    assert cheap.check_needs_rehash(kept)
    assert log_in(boss, username="ada", password=PASSWORD).status_code == 200


def test_two_administrators_do_not_take_each_other_away(boss: Caller) -> None:
    ada, eve = (new_person(boss, name, is_admin=True) for name in ("ada", "eve"))
    ada.delete(f"/tokens/{boss.get('/whoami').json['token_id']}")
    fellows = {"eve": ada, "ada": eve}

    with ThreadPoolExecutor() as pool:
        demoted = pool.map(
            lambda name: fellows[name].patch(f"/users/{name}", {"is_admin": False}).status_code,
            fellows,
        )

    assert sorted(demoted) in ([200, 403], [200, 409])
