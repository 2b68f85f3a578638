from __future__ import annotations

import base64
import hashlib
import json

import pytest
from flask import Flask
from sqlalchemy import text

from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import encrypted_document, state_document

STATE = "/api/terraform/state/shop/app"


@pytest.fixture
def states(app_workspace: str) -> str:
    return f"{app_workspace}/states"


def written(boss: Caller, *documents: bytes) -> None:
    for document in documents:
        assert boss.call("POST", STATE, data=document).status_code == 200


def with_outputs(serial: int, lineage: str) -> bytes:
    document = json.loads(state_document(serial, lineage=lineage, outputs={"url": "https://x"}))
    document["outputs"]["key"] = {"value": "s3cret", "type": "string", "sensitive": True}
    return json.dumps(document).encode()


def test_versions_are_listed_newest_first_and_read_one_by_one(boss: Caller, states: str) -> None:
    written(boss, state_document(3, lineage="l"), state_document(5, lineage="l"))

    items = boss.get(states).json["items"]

    assert [(v["number"], v["serial"]) for v in items] == [(2, 5), (1, 3)]
    assert boss.get(f"{states}/1").json == items[1]
    assert boss.get(f"{states}/latest").json == items[0]


def test_versions_come_in_pages(boss: Caller, states: str) -> None:
    written(boss, *(state_document(n, lineage="l") for n in range(1, 6)))

    first = boss.get(states, limit=2).json
    second = boss.get(states, limit=2, cursor=first["next_cursor"]).json
    third = boss.get(states, limit=2, cursor=second["next_cursor"]).json

    numbers = [v["number"] for page in (first, second, third) for v in page["items"]]
    assert numbers == [5, 4, 3, 2, 1]
    assert third["next_cursor"] is None
    refused(boss.get(states, cursor="x"), 422, "invalid-request")


@pytest.mark.parametrize("which", ["1", "latest"])
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_download_is_what_was_written_byte_for_byte(
    boss: Caller, states: str, app: Flask, which: str, size: int
) -> None:
    document = state_document(size=size)
    written(boss, document)

    answer = boss.get(f"{states}/{which}/download")

    assert answer.data == document
    md5 = hashlib.md5(document, usedforsecurity=False).digest()
    assert answer.headers["Content-MD5"] == base64.b64encode(md5).decode()
    with app.extensions["stateroom"].database.reading() as db:
        actions = db.execute(text("SELECT action FROM audit_entries")).scalars().all()
    assert "state.download" in actions


@one_database
@pytest.mark.parametrize("rest", ["/1", "/latest", "/1/download", "/latest/download", "/7"])
def test_a_version_that_is_not_there_is_404(boss: Caller, states: str, rest: str) -> None:
    answer = boss.get(f"{states}{rest}")

    assert answer.status_code == 404
    assert boss.get(f"{states}/minus-one").status_code == 422


def test_a_deleted_state_is_gone_until_it_is_brought_back(boss: Caller, states: str) -> None:
    written(boss, state_document())

    boss.delete(states)

    refused(boss.get(f"{states}/latest/download"), 410, "state-deleted")
    assert boss.call("GET", STATE).status_code == 410
    assert boss.post(f"{states}/undelete").json["deleted_at"] is None
    assert boss.call("GET", STATE).status_code == 200


def test_a_locked_state_is_not_deleted(boss: Caller, states: str) -> None:
    written(boss, state_document())
    boss.call("LOCK", STATE, json={"ID": "l-1"})

    refused(boss.delete(states), 423, "state-locked")


def test_outputs_are_shown_with_sensitive_ones_hidden(boss: Caller, app_workspace: str) -> None:
    written(boss, with_outputs(1, "l"))
    reader = boss.with_scopes("outputs:read", project="shop")

    shown = reader.get(f"{app_workspace}/outputs").json

    assert shown["version"] == 1
    assert shown["outputs"]["url"] == {"value": "https://x", "type": "string", "sensitive": False}
    assert shown["outputs"]["key"] == {"value": None, "type": "string", "sensitive": True}


def test_sensitive_outputs_are_for_those_who_may_read_the_state(
    boss: Caller, app_workspace: str
) -> None:
    written(boss, with_outputs(1, "l"))
    reader = boss.with_scopes("outputs:read", project="shop")
    trusted = boss.with_scopes("outputs:read", "state:read", project="shop")
    path = f"{app_workspace}/outputs"

    problem = refused(reader.get(path, show_sensitive="true"), 403, "scope-missing")
    assert problem["scope"] == "state:read"
    shown = trusted.get(path, show_sensitive="true").json

    assert shown["outputs"]["key"]["value"] == "s3cret"


def test_outputs_of_a_state_that_was_never_written_are_none(
    boss: Caller, app_workspace: str
) -> None:
    assert boss.get(f"{app_workspace}/outputs").json == {"version": None, "outputs": {}}


@one_database
def test_outputs_in_a_state_that_opentofu_sealed_are_out_of_reach(
    boss: Caller, app_workspace: str
) -> None:
    written(boss, encrypted_document())

    refused(boss.get(f"{app_workspace}/outputs"), 409, "state-encrypted")


@one_database
@pytest.mark.parametrize(
    ("verb", "rest"),
    [
        ("GET", "/states"),
        ("DELETE", "/states"),
        ("POST", "/states/undelete"),
        ("GET", "/states/1"),
        ("GET", "/states/1/download"),
        ("GET", "/outputs"),
    ],
)
def test_a_stranger_and_a_missing_workspace_get_404(
    boss: Caller, shop: str, app_workspace: str, stranger: Caller, verb: str, rest: str
) -> None:
    written(boss, state_document())

    refused(stranger.call(verb, f"{app_workspace}{rest}"), 404, "not-found")
    refused(boss.call(verb, f"{shop}/workspaces/other{rest}"), 404, "not-found")


@one_database
@pytest.mark.parametrize(
    ("verb", "rest", "needed"),
    [
        ("GET", "/states", "state:read"),
        ("GET", "/states/1/download", "state:read"),
        ("DELETE", "/states", "state:delete"),
        ("POST", "/states/undelete", "state:delete"),
        ("GET", "/outputs", "outputs:read"),
    ],
)
def test_each_thing_needs_its_scope(
    boss: Caller, app_workspace: str, verb: str, rest: str, needed: str
) -> None:
    reader = boss.with_scopes("runs:read", project="shop")

    answer = reader.call(verb, f"{app_workspace}{rest}")

    assert refused(answer, 403, "scope-missing")["scope"] == needed
