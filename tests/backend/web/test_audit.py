from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from backend import audit
from backend.audit.linker import Linker
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import state_document

STATE = "/api/terraform/state/shop/app"


@pytest.fixture
def linker(app: Flask) -> Linker:
    return Linker(app.extensions["stateroom"])


def listed(caller: Caller, path: str = "/audit", **query: Any) -> list[dict[str, Any]]:
    answer = caller.get(path, **query)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def actions(caller: Caller, path: str = "/audit", **query: Any) -> list[str]:
    return [entry["action"] for entry in listed(caller, path, **query)]


def lines(caller: Caller, path: str = "/audit/export", **query: Any) -> list[dict[str, Any]]:
    answer = caller.get(path, **query)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.content_type == "application/x-ndjson"
    return [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]


def test_what_was_done_is_listed_newest_first(boss: Caller, shop: str) -> None:
    *newer, oldest = listed(boss)

    assert (oldest["action"], oldest["principal"]) == ("token.issue", "stateroom")
    assert oldest["principal_id"] is None
    newest = next(entry for entry in newer if entry["action"] == "template.create")
    assert newest["principal"] == "administrator"
    assert newest["principal_id"] == boss.get("/whoami").json["token_id"]
    assert newest["number"] is None  # a second later it is linked


def test_a_project_sees_what_was_done_in_it_and_no_more(
    boss: Caller, shop: str, stranger: Caller
) -> None:
    chief = boss.with_scopes("admin", project="shop")

    seen = listed(chief, f"{shop}/audit")

    assert len({entry["project_id"] for entry in seen}) == 1
    assert {"project.create", "template.create", "token.issue"} <= {e["action"] for e in seen}


def test_a_list_is_filtered_by_principal_action_object_and_time(boss: Caller, shop: str) -> None:
    ci = boss.with_scopes("state:read", "state:write", "keys:manage", project="shop")
    ci.call("POST", STATE, data=state_document())
    (written,) = listed(boss, action="state.write")

    who = ci.get("/whoami").json
    assert listed(boss, principal=who["token_id"]) == [written]
    assert listed(boss, principal="somebody") == [written]
    assert listed(boss, principal="nobody") == []
    assert listed(boss, action="state.") == [written]
    assert listed(boss, action="state_") == []
    assert listed(boss, object=written["object"]) == [written]
    assert listed(boss, since=written["at"], action="state.write") == [written]
    assert listed(boss, until=written["at"], action="state.write") == []
    later = datetime.now(UTC) + timedelta(hours=1)
    assert listed(boss, since=later.isoformat()) == []


def test_a_list_comes_in_pages_that_miss_and_double_nothing(boss: Caller, shop: str) -> None:
    for number in range(7):
        boss.patch(shop, {"description": f"{number}"})

    page = boss.get("/audit", limit=3).json
    seen = [entry["id"] for entry in page["items"]]
    while page["next_cursor"]:
        page = boss.get("/audit", limit=3, cursor=page["next_cursor"]).json
        seen += [entry["id"] for entry in page["items"]]

    everything = [entry["id"] for entry in listed(boss, limit=200)]
    assert seen == everything
    refused(boss.get("/audit", cursor="aud_never"), 422, "cursor-unknown")


def test_an_export_is_a_chain_that_anybody_can_check(boss: Caller, shop: str) -> None:
    exported = lines(boss)

    previous = bytes(32)
    for number, line in enumerate(exported, 1):
        assert (line.pop("number"), line.pop("previous")) == (number, previous.hex())
        stated = bytes.fromhex(line.pop("hash"))
        canonical = json.dumps(line, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(previous + canonical.encode()).digest()
        assert previous == stated
    assert len(exported) == len(listed(boss, limit=200))
    assert boss.get("/audit/verify").json["head"] == f"{len(exported)}:{previous.hex()}"


def test_an_export_says_in_a_header_where_it_ends(boss: Caller, shop: str) -> None:
    answer = boss.get("/audit/export")

    newest = json.loads(answer.get_data(as_text=True).splitlines()[-1])
    assert answer.headers["Stateroom-Audit-Head"] == f"{newest['number']}:{newest['hash']}"


def test_an_export_of_a_period_or_a_project_has_its_entries_only(
    boss: Caller, shop: str, stranger: Caller
) -> None:
    everything = lines(boss)
    middle = everything[len(everything) // 2]["at"]

    late, early = lines(boss, since=middle), lines(boss, until=middle)
    ours = lines(boss, f"{shop}/audit/export")

    assert early + late == everything
    first = next(line["project_id"] for line in everything if line["project_id"])
    assert {line["project_id"] for line in ours} == {first}
    assert lines(boss, since="2100-01-01T00:00:00Z") == []


def test_an_export_of_many_entries_is_whole(boss: Caller, app: Flask) -> None:
    with app.extensions["stateroom"].itself.transaction() as tx:
        for number in range(1100):
            audit.record(tx, "thing.do", f"thing-{number}")

    numbers = [line["number"] for line in lines(boss)]

    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 1100


def test_a_verification_says_that_all_is_well_and_where_the_chain_ends(
    boss: Caller, shop: str, linker: Linker
) -> None:
    before = boss.get("/audit/verify").json
    linker.tick()

    found = boss.get("/audit/verify").json
    again = boss.get("/audit/verify", head=found["head"]).json

    assert before["head"].startswith(f"{before['verified']}:")
    assert before["unlinked"] > 0
    assert found["verified"] == before["verified"] + before["unlinked"]
    assert found["head"].startswith(f"{found['verified']}:")
    assert (found["ok"], found["broken"], found["unlinked"]) == (True, None, 0)
    assert again == found


@one_database
def test_a_verification_against_a_head_that_was_never_there_fails(
    boss: Caller, shop: str, linker: Linker
) -> None:
    linker.tick()
    number, digest = boss.get("/audit/verify").json["head"].split(":")

    cut = boss.get("/audit/verify", head=f"{int(number) + 1}:{digest}").json
    other = boss.get("/audit/verify", head=f"{number}:{'0' * 64}").json

    assert (cut["ok"], cut["broken"]["kind"]) == (False, "removed")
    assert (other["ok"], other["broken"]["kind"]) == (False, "changed")
    refused(boss.get("/audit/verify", head="latest"), 422, "invalid-request")


@one_database
@pytest.mark.parametrize("rest", ["audit", "audit/export"])
def test_a_stranger_gets_404_and_a_member_without_admin_403(
    boss: Caller, shop: str, stranger: Caller, rest: str
) -> None:
    member = boss.with_scopes("state:read", "runs:read", project="shop")

    refused(stranger.get(f"{shop}/{rest}"), 404, "not-found")
    refused(member.get(f"{shop}/{rest}"), 403, "scope-missing")
    refused(boss.get(f"/projects/none/{rest}"), 404, "not-found")


@one_database
@pytest.mark.parametrize("rest", ["audit", "audit/export", "audit/verify"])
def test_the_whole_log_is_for_administrators_of_the_installation(
    boss: Caller, shop: str, rest: str
) -> None:
    chief = boss.with_scopes("admin", project="shop")
    reader = boss.with_scopes("runs:read")

    assert chief.get(f"/{rest}").status_code == 403
    refused(reader.get(f"/{rest}"), 403, "scope-missing")


@one_database
@pytest.mark.parametrize(
    "query",
    [
        {"since": "yesterday"}, {"since": "2024-05-06T07:08:09"}, {"limit": 0}, {"limit": 201},
        {"principal": "a\x00"}, {"cursor": "../x"}, {"unknown": "x"},
    ],
)  # fmt: skip
def test_a_wrong_query_is_refused(boss: Caller, query: dict[str, Any]) -> None:
    refused(boss.get("/audit", **query), 422, "invalid-request")


def test_two_of_one_name_are_told_apart(boss: Caller, shop: str) -> None:
    issued = boss.made("/tokens", {"name": "administrator", "scopes": ["admin"]})
    Caller(boss.client, issued["secret"]).patch(shop, {"description": "hidden"})

    newest = listed(boss, action="project.update")[0]

    assert newest["principal"] == "administrator"
    assert newest["principal_id"] == issued["id"]
    assert [e["id"] for e in listed(boss, principal=issued["id"])] == [newest["id"]]


def test_every_reading_of_a_state_by_a_person_is_in_the_log(
    boss: Caller, app_workspace: str
) -> None:
    assert boss.call("GET", STATE).status_code == 404
    boss.call("POST", STATE, data=state_document(lineage="l"))
    large = state_document(serial=2, lineage="l", size=3_000_000)
    boss.call("POST", STATE, data=large)

    boss.call("GET", STATE)
    boss.get(f"{app_workspace}/states/1/download")
    boss.get(f"{app_workspace}/outputs", show_sensitive="true")

    (read,) = listed(boss, action="state.read")
    assert (read["principal"], read["detail"]["number"]) == ("administrator", 2)
    assert actions(boss, action="state.download") == ["state.download"]
    assert actions(boss, action="outputs.reveal") == ["outputs.reveal"]


def test_a_refused_reading_is_not_in_the_log(boss: Caller, app_workspace: str) -> None:
    boss.call("POST", STATE, data=state_document())
    writer = boss.with_scopes("state:write", project="shop")

    assert writer.call("GET", STATE).status_code == 403

    assert actions(boss, action="state.read") == []
