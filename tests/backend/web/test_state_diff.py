from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest

from backend.documents import diff_process
from backend.documents.diff import LARGEST, MOST
from backend.states import comparing, looking
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import encrypted_document, state_document

STATE = "/api/terraform/state/shop/app"


@pytest.fixture
def diff(app_workspace: str) -> str:
    return f"{app_workspace}/states/diff"


def document(serial: int, *names: str, size: int = 0, **outputs: Any) -> bytes:
    """A state with these resources; their attributes are the serial and a password."""
    made = json.loads(state_document(serial, lineage="l", outputs=outputs))
    made["resources"] = [
        {
            "mode": "managed", "type": "aws_db_instance", "name": name, "provider": "p",
            "instances": [{"attributes": {"size": serial, "password": f"s3cret-{serial}"}}],
        }
        for name in names
    ]  # fmt: skip
    made["padding"] = "x" * size
    return json.dumps(made).encode()


def written(boss: Caller, *documents: bytes) -> None:
    for body in documents:
        assert boss.call("POST", STATE, data=body).status_code == 200


def between(boss: Caller, diff: str, **query: str) -> Any:
    answer = boss.get(diff, **query)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert "s3cret" not in answer.get_data(as_text=True)
    return answer.json


def test_the_newest_version_is_compared_with_the_one_before(boss: Caller, diff: str) -> None:
    written(boss, document(1, "a", "b", url="x"), document(2, "b", "c", url="y"))

    found = between(boss, diff)

    assert (found["from_version"], found["to_version"], found["unchanged"]) == (1, 2, 0)
    assert found["added"] == [{"address": "aws_db_instance.c", "data": False}]
    assert found["removed"] == [{"address": "aws_db_instance.a", "data": False}]
    [changed] = found["changed"]
    secret = {"before": "(sensitive)", "after": "(sensitive)", "hidden": True}
    assert changed["changes"] == [
        {"path": "password", **secret},
        {"path": "size", "before": 1, "after": 2, "hidden": False},
    ]
    assert found["outputs"] == [{"path": "url", "before": "x", "after": "y", "hidden": False}]


def test_any_two_versions_are_compared_in_either_direction(boss: Caller, diff: str) -> None:
    written(boss, document(1, "a"), document(2, "a", "b"), document(3, "c"))

    forth = between(boss, diff, **{"from": "1", "to": "2"})
    back = between(boss, diff, **{"from": "latest", "to": "1"})
    same = between(boss, diff, **{"from": "2", "to": "2"})

    assert [r["address"] for r in forth["added"]] == ["aws_db_instance.b"]
    assert (back["from_version"], back["to_version"]) == (3, 1)
    assert [r["address"] for r in back["added"]] == ["aws_db_instance.a"]
    assert (same["added"], same["changed"], same["unchanged"]) == ([], [], 2)


def test_the_first_version_is_compared_with_nothing(boss: Caller, diff: str) -> None:
    written(boss, document(1, "a", url="x"))

    found = between(boss, diff)

    assert (found["from_version"], found["to_version"]) == (None, 1)
    assert [r["address"] for r in found["added"]] == ["aws_db_instance.a"]
    assert found["outputs"][0]["path"] == "url"


def test_large_versions_are_compared_too(boss: Caller, diff: str) -> None:
    written(boss, document(1, "a", size=3_000_000), document(2, "a", size=3_000_000))

    assert [r["address"] for r in between(boss, diff)["changed"]] == ["aws_db_instance.a"]


def test_a_version_whose_body_was_removed_is_passed_over(
    boss: Caller, app_workspace: str, diff: str
) -> None:
    written(boss, document(1, "a"), document(2, "b"), document(3, "c"))
    assert boss.delete(f"{app_workspace}/states/2").status_code == 200

    assert between(boss, diff)["from_version"] == 1
    refused(boss.get(diff, **{"from": "2"}), 410, "version-removed")


def test_a_diff_is_a_reading_of_both_in_the_audit_log(boss: Caller, diff: str) -> None:
    written(boss, document(1, "a"), document(2, "b"))

    between(boss, diff)

    [entry] = boss.get("/audit", action="state.diff").json["items"]
    assert entry["detail"] == {"before": 1, "number": 2}


@one_database
def test_a_state_that_opentofu_sealed_cannot_be_compared(boss: Caller, diff: str) -> None:
    written(boss, document(1, "a"), encrypted_document(2, lineage="l"))

    refused(boss.get(diff), 409, "state-encrypted")


@one_database
def test_a_version_that_is_not_there_is_404(boss: Caller, diff: str) -> None:
    refused(boss.get(diff), 404, "never-written")
    written(boss, document(1, "a"))

    refused(boss.get(diff, to="7"), 404, "not-found")
    refused(boss.get(diff, **{"from": "7"}), 404, "not-found")


@one_database
@pytest.mark.parametrize("query", [{"from": "0"}, {"to": "newest"}, {"before": "1"}])
def test_a_wrong_query_is_refused(boss: Caller, diff: str, query: dict[str, str]) -> None:
    refused(boss.get(diff, **query), 422, "invalid-request")


@one_database
def test_a_stranger_gets_404_and_a_member_without_the_scope_403(
    boss: Caller, diff: str, stranger: Caller
) -> None:
    written(boss, document(1, "a"))
    member = boss.with_scopes("outputs:read", "runs:read", project="shop")

    refused(stranger.get(diff), 404, "not-found")
    assert refused(member.get(diff), 403, "scope-missing")["scope"] == "state:read"
    refused(boss.get("/projects/shop/workspaces/other/states/diff"), 404, "not-found")


def test_only_a_few_states_are_compared_at_once(
    boss: Caller, diff: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing.ROOM, "_seconds", 0.05)
    written(boss, document(1, "a"), document(2, "b"))
    with ExitStack() as others:
        for _ in range(comparing.ROOM.at_once):
            others.enter_context(comparing.ROOM.enter())

        refused(boss.get(diff), 503, "busy")

    assert boss.get(diff).status_code == 200


def test_a_large_comparison_waits_for_memory_and_says_when_there_is_none(
    boss: Caller, diff: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking.MEMORY, "_seconds", 0.05)
    written(boss, document(1, "a", size=comparing.SMALL), document(2, "b"))

    with looking.MEMORY.take(500_000_000, 500_000_000):
        answer = boss.get(diff)

    refused(answer, 503, "busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert boss.get(diff).status_code == 200


@one_database
def test_a_comparison_that_needs_more_memory_than_it_may_have_ends_alone(
    boss: Caller, diff: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diff_process, "memory_for", lambda _sizes: 120_000_000)

    def many_keys(serial: int) -> bytes:
        state = json.loads(document(serial, "a"))
        attributes = {f"k{serial}-{n}": n for n in range(300_000)}
        state["resources"][0]["instances"][0]["attributes"] = attributes
        return json.dumps(state).encode()

    written(boss, many_keys(1), many_keys(2))

    refused(boss.get(diff), 422, "diff-too-large")


@one_database
def test_a_difference_is_shown_up_to_a_size_and_the_rest_is_counted(
    boss: Caller, diff: str
) -> None:
    written(boss, document(1, *(f"r{n}" for n in range(MOST + 7))))

    found = between(boss, diff)

    assert (len(found["added"]), found["left_out"]) == (MOST, 7)


@one_database
def test_a_value_that_does_not_fit_is_counted_and_the_others_are_shown(
    boss: Caller, diff: str
) -> None:
    written(boss, document(1, "a", big="x", last="x"))
    written(boss, document(2, "a", big="x" * LARGEST, last="y"))

    found = between(boss, diff)

    assert [change["path"] for change in found["outputs"]] == ["last"]
    assert found["left_out"] == 1
