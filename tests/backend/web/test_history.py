"""What people do with the versions of a state: restore, pin, delete, upload, purge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from client.conformance.wire import md5_of
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import encrypted_document, lock_info, state_document

STATE = "/api/terraform/state/shop/app"
FIRST = state_document(3, lineage="l", outputs={"made": "first"})
SECOND = state_document(7, lineage="l", outputs={"made": "second"})


@pytest.fixture
def states(app_workspace: str) -> str:
    return f"{app_workspace}/states"


def written(boss: Caller, *documents: bytes) -> None:
    for document in documents:
        assert boss.call("POST", STATE, data=document).status_code == 200


def upload(who: Caller, states: str, document: bytes, **query: str) -> Any:
    return who.call("POST", states, data=document, query_string=query)


def actions(app: Flask) -> list[str]:
    with app.extensions["stateroom"].database.reading() as db:
        return list(db.execute(text("SELECT action FROM audit_entries ORDER BY id")).scalars())


def test_a_restored_version_is_a_new_one_with_the_next_serial_and_no_other_byte_changed(
    boss: Caller, app: Flask, states: str
) -> None:
    written(boss, FIRST, SECOND)

    made = boss.made(f"{states}/1/restore")

    assert (made["number"], made["serial"], made["lineage"]) == (3, 8, "l")
    assert (made["operation"], made["restored_from"], made["forced"]) == ("restore", 1, False)
    assert boss.call("GET", STATE).data == FIRST.replace(b'"serial": 3', b'"serial": 8')
    assert "state.restore" in actions(app)


def test_a_large_version_is_restored_too(boss: Caller, states: str) -> None:
    large = json.loads(state_document(3, lineage="l", size=3_000_000))
    by_key = json.dumps(large, sort_keys=True).encode()
    written(boss, by_key, SECOND)

    boss.made(f"{states}/1/restore")

    assert boss.call("GET", STATE).data == by_key.replace(b'"serial": 3', b'"serial": 8')


def test_restoring_what_is_current_makes_no_new_version(boss: Caller, states: str) -> None:
    written(boss, FIRST, SECOND)

    made = [boss.made(f"{states}/{n}/restore")["number"] for n in ("latest", "1", "1", "3")]

    assert made == [2, 3, 3, 3]


def test_a_serial_above_all_is_given_after_a_forced_push_to_a_lower_one(
    boss: Caller, states: str
) -> None:
    written(boss, FIRST, SECOND)
    upload(boss, states, state_document(1, lineage="l"), force="true")

    made = boss.made(f"{states}/1/restore")

    assert made["serial"] == 8


def test_a_version_that_opentofu_encrypted_is_restored_with_its_own_serial(
    boss: Caller, states: str
) -> None:
    first = encrypted_document(3, lineage="l")
    written(boss, first, encrypted_document(7, lineage="l"))

    made = boss.made(f"{states}/1/restore")

    assert (made["serial"], made["forced"]) == (3, True)
    assert boss.call("GET", STATE).data == first
    written(boss, encrypted_document(4, lineage="l"))


def test_a_locked_state_is_not_restored_and_the_holder_is_named(boss: Caller, states: str) -> None:
    written(boss, FIRST, SECOND)
    boss.call("LOCK", STATE, json=lock_info("l-1", who="ann@laptop"))

    refused(boss.post(f"{states}/1/restore"), 423, "state-locked")

    assert boss.get(f"{states}/latest").json["number"] == 2


def test_a_document_without_a_serial_says_how_it_is_restored(boss: Caller, states: str) -> None:
    written(boss, b'{"version": 4, "lineage": "l"}', SECOND)

    refused(boss.post(f"{states}/1/restore"), 409, "serial-not-found")


@one_database
def test_no_serial_comes_after_the_largest(boss: Caller, states: str) -> None:
    written(boss, FIRST, state_document(2**63 - 1, lineage="l"))

    refused(boss.post(f"{states}/1/restore"), 409, "serial-too-high")


def test_a_pinned_version_is_not_deleted(boss: Caller, app: Flask, states: str) -> None:
    written(boss, FIRST, SECOND)

    assert boss.patch(f"{states}/1", {"pinned": True}).json["pinned"] is True
    refused(boss.delete(f"{states}/1"), 409, "version-pinned")
    assert boss.patch(f"{states}/1", {"pinned": False}).json["pinned"] is False

    assert boss.delete(f"{states}/1").json["removed_because"] == "deleted"
    assert {"state.pin", "state.unpin", "state.delete_version"} <= set(actions(app))


def test_the_current_version_is_not_deleted(boss: Caller, states: str) -> None:
    written(boss, FIRST, SECOND)

    refused(boss.delete(f"{states}/latest"), 409, "version-current")
    refused(boss.delete(f"{states}/2"), 409, "version-current")


def test_the_history_of_a_frozen_workspace_stays(
    boss: Caller, app_workspace: str, states: str
) -> None:
    written(boss, state_document(1, lineage="one"), state_document(2, lineage="one"))
    boss.post(f"{app_workspace}/freeze", {"reason": "we look into an incident"})

    refused(boss.delete(f"{states}/1"), 409, "workspace-frozen")

    boss.post(f"{app_workspace}/unfreeze")
    assert boss.delete(f"{states}/1").status_code == 200


def test_a_deleted_version_is_known_and_cannot_be_read(
    boss: Caller, app: Flask, states: str
) -> None:
    written(boss, FIRST, SECOND)

    boss.delete(f"{states}/1")

    refused(boss.get(f"{states}/1/download"), 410, "version-removed")
    refused(boss.post(f"{states}/1/restore"), 410, "version-removed")
    refused(boss.patch(f"{states}/1", {"pinned": True}), 410, "version-removed")
    assert boss.delete(f"{states}/1").status_code == 200
    assert boss.get(f"{states}/1").json["removed_at"] is not None
    assert [v["number"] for v in boss.get(states).json["items"]] == [2]
    assert [v["number"] for v in boss.get(states, removed="true").json["items"]] == [2, 1]
    with app.extensions["stateroom"].database.reading() as db:
        left = db.execute(text("SELECT sealed, wrapped_key FROM state_versions WHERE number = 1"))
        sealed, wrapped_key = left.one()
    assert (sealed, bytes(wrapped_key)) == (None, b"")


def test_an_upload_into_an_empty_state_is_an_import_that_keeps_every_byte(
    boss: Caller, app: Flask, states: str
) -> None:
    answer = upload(boss, states, FIRST)

    made = answer.json
    assert answer.status_code == 201
    assert (made["number"], made["serial"], made["lineage"]) == (1, 3, "l")
    assert (made["operation"], made["created_by"]) == ("import", "administrator")
    assert boss.call("GET", STATE).data == FIRST
    assert "state.import" in actions(app)


def test_an_upload_is_guarded_as_a_write_of_terraform(boss: Caller, states: str) -> None:
    written(boss, SECOND)

    refused(upload(boss, states, FIRST), 409, "serial-too-low")
    refused(upload(boss, states, state_document(8, lineage="m")), 409, "lineage-mismatch")
    assert upload(boss, states, state_document(8, lineage="l")).json["operation"] == "upload"
    assert upload(boss, states, FIRST, force="true").json["forced"] is True

    assert boss.call("GET", STATE).data == FIRST
    assert boss.get(states.replace("/states", "/rescued")).json["items"] == []


def test_the_same_upload_twice_makes_one_version(boss: Caller, states: str) -> None:
    numbers = [upload(boss, states, SECOND).json["number"] for _ in range(2)]

    assert numbers == [1, 1]


def test_nothing_is_uploaded_into_a_locked_state(boss: Caller, states: str) -> None:
    boss.call("LOCK", STATE, json=lock_info())

    refused(upload(boss, states, FIRST), 423, "state-locked")
    refused(upload(boss, states, FIRST, force="true"), 423, "state-locked")


def test_an_import_is_for_an_empty_state_alone(boss: Caller, states: str) -> None:
    assert upload(boss, states, FIRST, **{"import": "true"}).json["operation"] == "import"
    assert upload(boss, states, FIRST, **{"import": "true"}).json["number"] == 1

    refused(upload(boss, states, SECOND, **{"import": "true"}), 409, "not-empty")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "state-empty"),
        (b"hello", "state-not-json"),
        (b"{}", "not-a-state"),
        (FIRST[:-10], "state-truncated"),
    ],
)
@one_database
def test_an_upload_that_is_no_state_says_what_it_is(
    boss: Caller, states: str, body: bytes, code: str
) -> None:
    refused(upload(boss, states, body), 422, code)


@one_database
def test_an_upload_that_was_damaged_on_its_way_is_refused(boss: Caller, states: str) -> None:
    answer = boss.call("POST", states, data=FIRST, headers={"Content-MD5": md5_of(SECOND)})

    refused(answer, 422, "content-md5-mismatch")


def test_a_large_upload_is_stored_byte_for_byte(boss: Caller, states: str) -> None:
    large = state_document(size=3_000_000)

    upload(boss, states, large)

    assert boss.get(f"{states}/latest/download").data == large


def test_a_purged_state_answers_410_until_a_document_is_imported(
    boss: Caller, app: Flask, states: str
) -> None:
    written(boss, FIRST, SECOND)
    boss.patch(f"{states}/1", {"pinned": True})
    refused(boss.post(f"{states}/purge"), 409, "not-deleted")
    boss.delete(states)

    assert boss.post(f"{states}/purge").status_code == 200
    assert boss.post(f"{states}/purge").status_code == 200

    refused(boss.post(f"{states}/undelete"), 410, "state-purged")
    refused(upload(boss, states, FIRST), 410, "state-deleted")
    assert boss.call("GET", STATE).status_code == 410
    assert boss.call("LOCK", STATE, json=lock_info()).status_code == 423
    assert boss.get(states).json["items"] == []
    made = upload(boss, states, FIRST, **{"import": "true"}).json
    assert (made["number"], made["serial"]) == (3, 3)
    assert boss.call("GET", STATE).data == FIRST
    assert {"state.purge", "state.import"} <= set(actions(app))


def test_a_deleted_state_that_can_come_back_takes_no_import(boss: Caller, states: str) -> None:
    written(boss, FIRST)
    boss.delete(states)

    refused(upload(boss, states, SECOND, **{"import": "true"}), 410, "state-deleted")


def test_purging_removes_what_was_refused_too(
    boss: Caller, app_workspace: str, states: str
) -> None:
    written(boss, SECOND)
    boss.call("POST", STATE, data=FIRST)
    boss.delete(states)

    boss.post(f"{states}/purge")

    (kept,) = boss.get(f"{app_workspace}/rescued").json["items"]
    assert kept["decision"] == "purged"


@one_database
@pytest.mark.parametrize(
    ("verb", "rest", "needed"),
    [
        ("POST", "", "state:write"),
        ("POST", "/1/restore", "state:write"),
        ("PATCH", "/1", "state:write"),
        ("DELETE", "/1", "state:delete"),
        ("POST", "/purge", "state:delete"),
    ],
)
def test_each_change_needs_its_scope_and_a_stranger_gets_404(
    boss: Caller, stranger: Caller, shop: str, states: str, verb: str, rest: str, needed: str
) -> None:
    written(boss, FIRST, SECOND)
    reader = boss.with_scopes("runs:read", "state:read", project="shop")
    body = {"json": {"pinned": True}} if verb == "PATCH" else {}

    answer = reader.call(verb, states + rest, **body)
    elsewhere = f"{shop}/workspaces/other/states"

    assert refused(answer, 403, "scope-missing")["scope"] == needed
    refused(stranger.call(verb, states + rest, **body), 404, "not-found")
    refused(boss.call(verb, elsewhere + rest, **body), 404, "not-found")
    if rest.startswith("/1"):
        refused(boss.call(verb, states + rest.replace("1", "77"), **body), 404, "not-found")


@one_database
def test_a_wrong_change_of_a_version_says_what_is_wrong(boss: Caller, states: str) -> None:
    written(boss, FIRST)

    refused(boss.patch(f"{states}/1", {"pinned": "yes"}), 422, "invalid-request")
    refused(boss.patch(f"{states}/1", {}), 422, "invalid-request")
    refused(upload(boss, states, FIRST, force="perhaps"), 422, "invalid-request")
