"""A refused write is not lost: it is listed, and downloaded byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask

from backend.models import RescuedWrite
from backend.states import rescued
from backend.web.protocol import Protocol
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import encrypted_document, lock_info, state_document

STATE = "/api/terraform/state/shop/app"


@pytest.fixture
def rescue(boss: Caller, app_workspace: str) -> Callable[..., str]:
    """Have a document refused, and return the path of the rescued write."""

    def refuse(document: bytes, *, stored: bytes = b"") -> str:
        if stored:
            assert boss.call("POST", STATE, data=stored).status_code == 200
        answer = boss.call("POST", STATE, data=document)
        assert answer.status_code == 409, answer.data
        return f"{app_workspace}/rescued/{answer.json['rescued']}"

    return refuse


def rescued_by_serial(boss: Caller) -> bytes:
    assert boss.call("POST", STATE, data=state_document(5, lineage="l")).status_code == 200
    late = state_document(4, lineage="l")
    assert boss.call("POST", STATE, data=late).status_code == 409
    return late


def test_a_refused_write_is_listed_with_its_reason(boss: Caller, app_workspace: str) -> None:
    rescued_by_serial(boss)

    items = boss.get(f"{app_workspace}/rescued").json["items"]

    assert [(i["reason"], i["serial"], i["lineage"]) for i in items] == [("serial-too-low", 4, "l")]


def test_a_refused_write_is_downloaded_as_it_arrived(boss: Caller, app_workspace: str) -> None:
    late = rescued_by_serial(boss)
    (item,) = boss.get(f"{app_workspace}/rescued").json["items"]

    answer = boss.get(f"{app_workspace}/rescued/{item['id']}/download")

    assert answer.data == late


def test_a_state_that_refused_nothing_has_none(boss: Caller, app_workspace: str) -> None:
    assert boss.get(f"{app_workspace}/rescued").json == {"items": [], "next_cursor": None}
    refused(boss.get(f"{app_workspace}/rescued/rw_0/download"), 404, "not-found")


@one_database
def test_a_stranger_sees_no_rescued_writes(
    boss: Caller, stranger: Caller, app_workspace: str
) -> None:
    rescued_by_serial(boss)
    (item,) = boss.get(f"{app_workspace}/rescued").json["items"]

    refused(stranger.get(f"{app_workspace}/rescued"), 404, "not-found")
    refused(stranger.get(f"{app_workspace}/rescued/{item['id']}/download"), 404, "not-found")


def test_the_workspace_shows_how_many_wait_for_a_decision(
    boss: Caller, app_workspace: str, rescue: Callable[..., str]
) -> None:
    first = rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))
    rescue(state_document(3, lineage="l"))

    assert boss.get(app_workspace).json["state"]["rescued"] == 2
    boss.post(f"{first}/dismiss")

    assert boss.get(app_workspace).json["state"]["rescued"] == 1
    waiting = boss.get(f"{app_workspace}/rescued", undecided="true").json["items"]
    assert [item["serial"] for item in waiting] == [3]
    assert len(boss.get(f"{app_workspace}/rescued").json["items"]) == 2


def test_the_same_bytes_refused_again_are_kept_once(
    boss: Caller, app_workspace: str, rescue: Callable[..., str]
) -> None:
    late = state_document(4, lineage="l")

    kept = {rescue(late, stored=state_document(5, lineage="l")), rescue(late), rescue(late)}

    assert len(kept) == 1
    assert len(boss.get(f"{app_workspace}/rescued").json["items"]) == 1


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        (state_document(4, lineage="l"), "older"),
        (state_document(5, lineage="l", outputs={"a": "b"}), "same-serial"),
        (state_document(6, lineage="m"), "other-lineage"),
        (state_document(1, lineage="l", outputs={"first": "one"}), "stored"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
@one_database
def test_a_rescued_write_is_compared_with_the_current_version(
    boss: Caller, app_workspace: str, rescue: Callable[..., str], document: bytes, verdict: str
) -> None:
    first = state_document(1, lineage="l", outputs={"first": "one"})
    boss.call("POST", STATE, data=first)

    path = rescue(document, stored=state_document(5, lineage="l"))
    shown = boss.get(path).json

    assert shown["comparison"] == verdict
    assert shown["equals_version"] == (1 if verdict == "stored" else None)
    assert shown["current"]["number"] == 2
    assert shown["decision"] is None


def test_a_promoted_write_becomes_the_newest_version_with_the_next_serial(
    boss: Caller, app_workspace: str, rescue: Callable[..., str]
) -> None:
    late = state_document(4, lineage="l", outputs={"made": "late"})
    path = rescue(late, stored=state_document(5, lineage="l"))

    made = boss.made(f"{path}/promote")

    assert (made["number"], made["serial"], made["operation"]) == (2, 6, "promote")
    assert made["forced"] is False
    assert boss.call("GET", STATE).data == late.replace(b'"serial": 4', b'"serial": 6')
    decided = boss.get(path).json
    assert (decided["decision"], decided["promoted_to"]) == ("promoted", 2)
    refused(boss.post(f"{path}/promote"), 409, "rescued-decided")
    refused(boss.get(f"{path}/download"), 409, "rescued-decided")


def test_a_promoted_write_whose_serial_is_the_highest_keeps_all_its_bytes(
    boss: Caller, app_workspace: str, rescue: Callable[..., str]
) -> None:
    boss.call("POST", STATE, data=state_document(5, lineage="l"))
    info, late = lock_info(), state_document(9, lineage="l")
    boss.call("LOCK", STATE, json=info)
    answer = boss.call("POST", STATE, data=late)
    assert answer.status_code == 423
    boss.call("UNLOCK", STATE, json=info)
    (kept,) = boss.get(f"{app_workspace}/rescued").json["items"]

    boss.made(f"{app_workspace}/rescued/{kept['id']}/promote")

    assert boss.call("GET", STATE).data == late


def test_what_opentofu_encrypted_is_promoted_with_its_own_serial(
    boss: Caller, rescue: Callable[..., str]
) -> None:
    late = encrypted_document(4, lineage="l")
    path = rescue(late, stored=encrypted_document(5, lineage="l"))

    made = boss.made(f"{path}/promote")

    assert (made["serial"], made["forced"], made["encrypted"]) == (4, True, True)
    assert boss.call("GET", STATE).data == late


def test_another_lineage_is_promoted_only_with_force(
    boss: Caller, rescue: Callable[..., str]
) -> None:
    path = rescue(state_document(6, lineage="m"), stored=state_document(5, lineage="l"))

    refused(boss.post(f"{path}/promote"), 409, "lineage-mismatch")
    made = boss.made(f"{path}/promote?force=true")

    assert (made["lineage"], made["forced"]) == ("m", True)


def test_nothing_is_promoted_into_a_locked_state(boss: Caller, rescue: Callable[..., str]) -> None:
    path = rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))
    boss.call("LOCK", STATE, json=lock_info())

    refused(boss.post(f"{path}/promote"), 423, "state-locked")


def test_a_dismissed_write_is_gone_and_says_who_decided(
    boss: Caller, rescue: Callable[..., str]
) -> None:
    path = rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))

    gone = boss.post(f"{path}/dismiss").json

    assert (gone["decision"], gone["decided_by"]) == ("dismissed", "administrator")
    refused(boss.get(f"{path}/download"), 409, "rescued-decided")
    refused(boss.post(f"{path}/dismiss"), 409, "rescued-decided")


def test_a_full_store_keeps_the_older_ones_and_refuses_all_the_same(
    boss: Caller, app_workspace: str, rescue: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescued, "MOST_UNDECIDED", 1)
    rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))

    answer = boss.call("POST", STATE, data=state_document(3, lineage="l"))

    assert refused(answer, 409, "serial-too-low")["rescued"] is None
    items = boss.get(f"{app_workspace}/rescued").json["items"]
    assert [item["serial"] for item in items] == [4]


@one_database
def test_refused_bytes_have_a_limit_for_each_state(
    boss: Caller, app: Flask, rescue: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = app.extensions["stateroom"]
    tight = here.settings.model_copy(update={"max_rescued_bytes": 1000})
    protocol = Protocol(replace(here, settings=tight), app.wsgi_app)
    monkeypatch.setattr(app, "wsgi_app", protocol)
    rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))

    answer = boss.call("POST", STATE, data=state_document(3, lineage="l", size=900))

    assert refused(answer, 409, "serial-too-low")["rescued"] is None


@one_database
@pytest.mark.parametrize(
    ("verb", "rest", "needed"),
    [
        ("GET", "", "state:read"),
        ("POST", "/promote", "state:write"),
        ("POST", "/dismiss", "state:write"),
    ],
)
def test_each_decision_needs_its_scope(
    boss: Caller,
    stranger: Caller,
    rescue: Callable[..., str],
    verb: str,
    rest: str,
    needed: str,
) -> None:
    path = rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))
    somebody = boss.with_scopes("runs:read", project="shop")

    assert refused(somebody.call(verb, path + rest), 403, "scope-missing")["scope"] == needed
    refused(stranger.call(verb, path + rest), 404, "not-found")
    missing = path.rpartition("/")[0] + "/rw_0"
    refused(boss.call(verb, missing + rest), 404, "not-found")


@one_database
def test_a_wrong_promotion_says_what_is_wrong(boss: Caller, rescue: Callable[..., str]) -> None:
    path = rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))

    refused(boss.post(f"{path}/promote?really=true"), 422, "invalid-request")


def test_rows_of_rescued_writes_that_were_swapped_do_not_open(
    boss: Caller, app: Flask, rescue: Callable[..., str]
) -> None:
    one = rescue(state_document(4, lineage="l"), stored=state_document(5, lineage="l"))
    other = rescue(state_document(3, lineage="l"))
    with app.extensions["stateroom"].database.transaction() as db:
        rows = [db.get_one(RescuedWrite, path.rpartition("/")[2]) for path in (one, other)]
        names = ("sealed", "key_id", "wrapped_key")
        first, second = ([getattr(row, name) for name in names] for row in rows)
        for row, given in zip(rows, (second, first), strict=True):
            for name, value in zip(names, given, strict=True):
                setattr(row, name, value)

    assert boss.get(f"{one}/download").status_code == 500
    assert boss.post(f"{other}/promote").status_code == 500


def test_the_bytes_that_are_promoted_are_still_a_state(
    boss: Caller, rescue: Callable[..., str]
) -> None:
    sorted_by_key = json.dumps(json.loads(state_document(4, lineage="l")), sort_keys=True)
    path = rescue(sorted_by_key.encode(), stored=state_document(5, lineage="l"))

    boss.made(f"{path}/promote")

    assert boss.call("GET", STATE).json["serial"] == 6


def test_bytes_whose_only_version_was_removed_do_not_count_as_stored(
    boss: Caller, app_workspace: str, rescue: Callable[..., str]
) -> None:
    for serial in (1, 2, 3):
        boss.call("POST", STATE, data=state_document(serial, lineage="l"))
    kept = rescue(state_document(2, lineage="l"))
    before = boss.get(kept).json
    boss.delete(f"{app_workspace}/states/2")

    after = boss.get(kept).json

    assert (before["comparison"], before["equals_version"]) == ("stored", 2)
    assert (after["comparison"], after["equals_version"]) == ("older", None)
