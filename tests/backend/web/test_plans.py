"""The plan of a run: in pages, filtered, without what is sensitive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.models import PlanDocument
from backend.transactions import Installation
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.kept_plans import keep_plan
from tests.support.plans import plan_json, resource

CANARY = "canary-3f9a1c77"


@pytest.fixture
def where(shop: str, run: str) -> str:
    """The path of its plan."""
    return f"{shop}/runs/{run}/plan"


def many(count: int) -> list[dict[str, Any]]:
    return [resource(f"a.b[{number}]", after={"n": number}) for number in range(count)]


def addresses(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return [one["address"] for one in answer.json["resources"]]


def pages(boss: Caller, where: str, **query: Any) -> Iterator[Any]:
    cursor = None
    while True:
        answer = boss.get(where, **query, **({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        yield answer.json
        cursor = answer.json["next_cursor"]
        if cursor is None:
            return


def test_a_plan_has_counts_resources_outputs_and_drift(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(
        server,
        run,
        plan_json(
            resource(
                actions=["delete", "create"],
                before={"x": 1, "y": [1, CANARY]},
                after={"x": 2, "y": [1, CANARY]},
                after_unknown={"id": True},
                before_sensitive={"y": [False, True]},
                after_sensitive={"y": [False, True]},
                replace_paths=[["x"]],
            )
            | {"action_reason": "replace_because_cannot_update", "provider_name": "p"},
            resource_drift=[resource("a.d", actions=["update"], before={"n": 1}, after={"n": 2})],
            output_changes={"o": {"actions": ["create"], "before": None, "after": "1"}},
        ),
    )

    found = boss.get(where).json

    assert found["run"] == run
    assert found["has_changes"] is True
    assert {name: count for name, count in found["summary"].items() if count} == {
        "add": 1, "destroy": 1, "replace": 1, "outputs": 1,
    }  # fmt: skip
    assert found["resources"] == [
        {
            "address": "a.b", "previous_address": None, "deposed": None, "mode": "managed",
            "type": "a", "name": "b", "provider": "p", "action": "replace",
            "actions": ["delete", "create"], "reason": "replace_because_cannot_update",
            "importing": None, "values_left_out": False,
            "before": {"x": 1, "y": [1, "(sensitive value)"]},
            "after": {"x": 2, "y": [1, "(sensitive value)"]},
            "unknown": [["id"]], "sensitive": [["y", 1]], "changed": [["x"], ["id"]],
            "replace_paths": [["x"]], "cut": [],
        }
    ]  # fmt: skip
    assert [(one["name"], one["action"], one["after"]) for one in found["outputs"]] == [
        ("o", "create", "1")
    ]
    assert [(one["address"], one["changed"]) for one in found["drift"]] == [("a.d", [["n"]])]
    assert (found["goes_back"], found["next_cursor"], found["actions"]) == (None, None, [])
    assert found["findings"] == []


@one_database
def test_pages_have_every_resource_once_and_in_order(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run, plan_json(*many(450)))

    found = [one["address"] for page in pages(boss, where, limit=200) for one in page["resources"]]

    assert found == [f"a.b[{number}]" for number in range(450)]


@one_database
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["a.new", "c.gone", "a.moved", 'm["x"].a.imported']),
        ({"changed": "false"}, ["a.new", "a.same", "c.gone", "a.moved", 'm["x"].a.imported']),
        ({"action": "delete"}, ["c.gone"]),
        ({"action": "move"}, ["a.moved"]),
        ({"action": "import"}, ['m["x"].a.imported']),
        ({"action": "no-op"}, ["a.moved", 'm["x"].a.imported']),
        ({"type": "c"}, ["c.gone"]),
        ({"address": "mov"}, ["a.moved"]),
        ({"address": '["x"]'}, ['m["x"].a.imported']),
        ({"address": "a.*"}, ["a.new", "a.moved"]),
        ({"address": 'm["?"].*'}, ['m["x"].a.imported']),
        ({"address": "a.n?w", "type": "a"}, ["a.new"]),
        ({"address": "nothing"}, []),
    ],
)
def test_resources_are_found_by_action_type_and_address(
    boss: Caller,
    server: Installation,
    run: str,
    where: str,
    query: dict[str, str],
    expected: list[str],
) -> None:
    keep_plan(
        server,
        run,
        plan_json(
            resource("a.new"),
            resource("a.same", actions=["no-op"]),
            resource("c.gone", actions=["delete"]),
            resource("a.moved", actions=["no-op"]) | {"previous_address": "a.old"},
            resource('m["x"].a.imported', actions=["no-op"], importing={"id": "i"}),
        ),
    )

    assert addresses(boss.get(where, **query)) == expected


@one_database
def test_what_does_not_change_is_listed_without_its_values(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run, plan_json(resource(actions=["no-op"], before={"x": 1}, after={"x": 1})))

    [found] = boss.get(where, changed="false").json["resources"]

    assert (found["action"], found["before"], found["after"]) == ("no-op", None, None)


def test_before_there_is_a_plan_the_answer_says_so(boss: Caller, shop: str, where: str) -> None:
    transfer = boss.made(f"{shop}/runs", {"operation": "import-state"})["id"]

    queued = refused(boss.get(where), 404, "plan-missing")
    moving = refused(boss.get(f"{shop}/runs/{transfer}/plan"), 404, "plan-missing")
    raw = refused(boss.get(f"{where}/json"), 404, "plan-missing")

    assert "queued" in queued["detail"]
    assert "moves a state" in moving["detail"]
    assert raw["detail"] == queued["detail"]


@one_database
def test_the_plan_of_a_later_claim_replaces_the_earlier_one(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run, plan_json(*many(3)), epoch=1)
    cursor = boss.get(where, limit=1).json["next_cursor"]
    keep_plan(server, run, plan_json(resource("a.other")), epoch=2)

    assert addresses(boss.get(where)) == ["a.other"]
    refused(boss.get(where, cursor=cursor), 409, "cursor-outdated")


@one_database
@pytest.mark.parametrize("cursor", ["x", "0_x", "7_1", "0"])
def test_a_cursor_that_is_none_is_refused(
    boss: Caller, server: Installation, run: str, where: str, cursor: str
) -> None:
    keep_plan(server, run)

    refused(boss.get(where, cursor=cursor), 409, "cursor-outdated")


@one_database
@pytest.mark.parametrize(
    "query", [{"action": "explode"}, {"limit": "0"}, {"address": "x" * 201}, {"colour": "red"}]
)
def test_a_wrong_filter_is_refused(
    boss: Caller, server: Installation, run: str, where: str, query: dict[str, str]
) -> None:
    keep_plan(server, run)

    refused(boss.get(where, **query), 422, "invalid-request")


def test_the_json_needs_the_right_to_read_the_state_and_is_audited(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    content = plan_json(resource(after={"x": CANARY * 200_000}, after_sensitive={"x": True}))
    keep_plan(server, run, content)
    looker = boss.with_scopes("runs:read", project="shop")

    refused(looker.get(f"{where}/json"), 403, "scope-missing")
    raw = boss.get(f"{where}/json")

    assert CANARY not in looker.get(where).get_data(as_text=True)
    assert raw.status_code == 200
    assert raw.get_data() == content
    assert int(raw.headers["Content-Length"]) == len(content)
    [entry] = boss.get("/audit", action="plan.download").json["items"]
    assert entry["object"] == run


@one_database
def test_a_stranger_finds_no_plan(
    boss: Caller, stranger: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run)

    for path in (where, f"{where}/json"):
        refused(stranger.get(path), 404, "not-found")


def test_nothing_of_a_plan_is_in_the_database_in_clear(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run, plan_json(resource(after={"x": CANARY})))

    with server.itself.reading() as tx:
        kept = tx.db.scalars(select(PlanDocument.sealed)).all()
    assert {*kept}
    assert not [sealed for sealed in kept if CANARY.encode() in bytes(sealed)]


def test_a_part_of_another_run_or_place_does_not_open(
    boss: Caller, shop: str, server: Installation, run: str, where: str
) -> None:
    other = boss.made(f"{shop}/runs")["id"]
    keep_plan(server, run, plan_json(resource("a.mine")))
    keep_plan(server, other, plan_json(resource("a.theirs")))
    for kind in ("page", "index"):
        with server.itself.transaction() as tx:
            of_kind = select(PlanDocument.sealed).where(PlanDocument.kind == kind)
            theirs = tx.db.scalars(of_kind.where(PlanDocument.run_id == other)).one()
            here = PlanDocument.run_id == run, PlanDocument.kind == kind
            tx.db.execute(update(PlanDocument).where(*here).values(sealed=theirs))

        answer = boss.get(where)

        refused(answer, 500, "unreadable")
        assert "theirs" not in answer.get_data(as_text=True)


@one_database
def test_a_plan_of_ten_thousand_resources_is_read_in_pages(
    boss: Caller, server: Installation, run: str, where: str
) -> None:
    keep_plan(server, run, plan_json(*many(10_000)))

    last = boss.get(where, address="a.b[9999]").json
    raw = boss.get(f"{where}/json")

    assert last["summary"]["add"] == 10_000
    assert [one["after"] for one in last["resources"]] == [{"n": 9999}]
    assert len(raw.get_data()) == int(raw.headers["Content-Length"])


@one_database
def test_what_deletes_a_workspace_deletes_its_plans(
    boss: Caller, shop: str, server: Installation, run: str
) -> None:
    keep_plan(server, run)
    assert boss.post(f"{shop}/runs/{run}/cancel").status_code == 200

    assert boss.delete(f"{shop}/workspaces/app", with_runs="true").status_code == 204

    with server.itself.reading() as tx:
        assert tx.db.scalars(select(PlanDocument)).all() == []
