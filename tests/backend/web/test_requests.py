"""What all routes have in common: authentication, bodies, pages, repeated requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database


@one_database
@pytest.mark.parametrize("token", ["", "nonsense", "stateroom_" + "0" * 49])
def test_nobody_comes_in_without_a_valid_token(client: FlaskClient, token: str) -> None:
    anybody = Caller(client, token)

    for path in ("/whoami", "/projects", "/projects/shop/runs", "/tokens"):
        answer = anybody.get(path)
        refused(answer, 401, "unauthorised")
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    refused(anybody.post("/projects", {"wrong": 1}), 401, "unauthorised")


@one_database
@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 422, "body-not-json"),
        (b"\xff\xfe\x00", "application/json", 422, "body-not-json"),
        (b"[" * 100_000, "application/json", 422, "body-not-json"),
        (b"[]", "application/json", 422, "body-not-an-object"),
        (b"null", "application/json", 422, "body-not-an-object"),
        (b'"{}"', "application/json", 422, "body-not-an-object"),
        (b"", "application/json", 422, "invalid-request"),
        (b"{}", "application/json", 422, "invalid-request"),
        (b'{"name": "x"}', "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b'{"name": "x"}', "", 415, "unsupported-media-type"),
        (b'{"name": "' + b"x" * 1_000_000 + b'"}', "application/json", 413, None),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_readably(
    boss: Caller, body: bytes, content_type: str, status: int, code: str | None
) -> None:
    answer = boss.call("POST", "/projects", data=body, content_type=content_type or None)

    assert answer.content_type == "application/problem+json"
    assert answer.status_code == status
    assert code is None or answer.json["code"] == code


@one_database
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({f"k{n}": n for n in range(60_000)}, "body-too-many-values"),
        ({"name": [{} for _ in range(60_000)]}, "body-too-many-values"),
        ({f"k{n}": n for n in range(5_000)}, "invalid-request"),
        ({"k" * 900_000: 1}, "invalid-request"),
    ],
)
def test_the_answer_to_a_wrong_body_is_small_however_much_is_wrong_in_it(
    boss: Caller, body: dict[str, Any], code: str
) -> None:
    answer = boss.post("/projects", body)

    refused(answer, 422, code)
    assert len(answer.data) < 10_000


@one_database
def test_of_many_wrong_fields_some_are_told_and_the_others_counted(boss: Caller) -> None:
    answer = boss.post("/projects", {"name": "x", **{f"k{n}": n for n in range(1_000)}})

    problem = refused(answer, 422, "invalid-request")
    assert problem["errors"][0]["field"] == "k0"
    assert problem["detail"].endswith("and 980 more.")


@pytest.mark.parametrize(
    "path", ["/nothing", "/projects/a/b/c", "/projects/sh%00op", "/projects/ü"]
)
def test_an_address_that_is_not_there_is_404(boss: Caller, path: str) -> None:
    answer = boss.get(path)

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


@one_database
def test_a_verb_that_is_not_there_is_405_with_those_that_are(boss: Caller) -> None:
    answer = boss.call("PUT", "/projects")

    refused(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}


@one_database
def test_a_mistyped_option_is_refused(boss: Caller) -> None:
    problem = refused(boss.get("/projects", limt=3), 422, "invalid-request")

    assert problem["errors"] == [{"field": "limt", "message": "Extra inputs are not permitted"}]


def test_lists_come_in_pages_without_gaps_or_repetitions(boss: Caller) -> None:
    for number in range(5):
        boss.made("/projects", {"name": f"p{number}"})
    names: list[str] = []
    query: dict[str, Any] = {"limit": 2}

    while True:
        page = boss.get("/projects", **query).json
        names += [project["name"] for project in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert sorted(names) == ["p0", "p1", "p2", "p3", "p4"]
    assert len(set(names)) == 5


@one_database
@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"cursor": "'"}, {"limit": "x"}])
def test_a_page_that_cannot_be_is_refused(boss: Caller, query: dict[str, Any]) -> None:
    refused(boss.get("/projects", **query), 422, "invalid-request")


def test_a_repeated_post_with_its_key_makes_one_thing(boss: Caller, shop: str) -> None:
    key = {"Idempotency-Key": "order-66"}
    body = {"operation": "plan"}

    first = boss.made(f"{shop}/runs", body, **key)
    again = boss.made(f"{shop}/runs", body, **key)

    assert again["id"] == first["id"]
    assert len(boss.get(f"{shop}/runs").json["items"]) == 1


def test_a_key_that_comes_with_another_request_is_refused(boss: Caller, shop: str) -> None:
    key = {"Idempotency-Key": "order-66"}
    boss.made(f"{shop}/runs", {"operation": "plan"}, **key)

    other_body = boss.post(f"{shop}/runs", {"operation": "destroy"}, **key)
    other_path = boss.post(f"{shop}/workspaces/app/runs", {"operation": "plan"}, **key)

    refused(other_body, 422, "idempotency-key-reused")
    refused(other_path, 422, "idempotency-key-reused")


def test_a_refused_request_may_be_repeated_with_its_key(boss: Caller, shop: str) -> None:
    key = {"Idempotency-Key": "order-66"}
    body = {"kind": "none", "name": "git"}
    boss.made(f"{shop}/keys", body)
    refused(boss.post(f"{shop}/keys", body, **key), 409, "name-taken")
    boss.delete(f"{shop}/keys/git")

    assert boss.made(f"{shop}/keys", body, **key)["name"] == "git"


def test_two_people_may_choose_the_same_key(boss: Caller, shop: str) -> None:
    other = boss.with_scopes("admin")
    key = {"Idempotency-Key": "1"}

    mine = boss.made(f"{shop}/runs", **key)
    theirs = other.made(f"{shop}/runs", **key)

    assert mine["id"] != theirs["id"]


def test_the_secret_of_a_token_is_not_shown_to_the_repetition(boss: Caller) -> None:
    body = {"name": "ci", "scopes": ["runs:read"]}

    first = boss.made("/tokens", body, **{"Idempotency-Key": "1"})
    again = boss.made("/tokens", body, **{"Idempotency-Key": "1"})

    assert first["secret"]
    assert again["id"] == first["id"]
    assert again["secret"] is None


def test_a_password_cannot_be_guessed_from_what_a_repetition_needs(
    boss: Caller, shop: str, app: Flask
) -> None:
    body = {"kind": "password", "username": "bot", "password": "hunter2"}
    boss.made(f"{shop}/keys", body, **{"Idempotency-Key": "1"})
    other = boss.with_scopes("admin")
    other.made(f"{shop}/keys", body, **{"Idempotency-Key": "1"})

    with app.extensions["stateroom"].database.reading() as db:
        prints = db.execute(text("SELECT fingerprint FROM idempotency_keys")).scalars().all()

    assert len(set(prints)) == 2


def test_ten_repetitions_at_once_make_one_thing(boss: Caller, shop: str, app: Flask) -> None:
    def order(_: int) -> str:
        caller = Caller(app.test_client(), boss.token)
        return str(caller.made(f"{shop}/runs", {}, **{"Idempotency-Key": "1"})["id"])

    with ThreadPoolExecutor(10) as pool:
        made = set(pool.map(order, range(10)))

    assert len(made) == 1
    assert len(boss.get(f"{shop}/runs").json["items"]) == 1


def test_one_of_ten_gets_the_name(boss: Caller, shop: str, app: Flask) -> None:
    def create(_: int) -> int:
        caller = Caller(app.test_client(), boss.token)
        return int(caller.post(f"{shop}/keys", {"kind": "none", "name": "git"}).status_code)

    with ThreadPoolExecutor(10) as pool:
        statuses = sorted(pool.map(create, range(10)))

    assert statuses == [201] + [409] * 9
