"""The workers, as administrators see them."""

from __future__ import annotations

from backend.runs import workers
from backend.transactions import Installation
from tests.support.caller import Caller, refused
from tests.support.people import new_person, signed_in


def test_administrators_see_what_each_worker_has(here: Installation, boss: Caller) -> None:
    held = [{"name": "tofu", "version": "1.12.6", "origin": "PATH"}]
    with here.itself.transaction() as tx:
        able = workers.Abilities(4, "namespaces", ["production"], held, installs_tools=True)
        workers.beat(tx, "host:2:b", able)
        workers.beat(tx, "host:1:a", workers.Abilities(2, None))

    first = boss.get("/workers", limit=1).json
    second = boss.get("/workers", limit=1, cursor=first["next_cursor"]).json

    assert [one["name"] for one in first["items"]] == ["host:1:a"]
    assert first["items"][0]["tools"] is None
    [worker] = second["items"]
    assert (worker["name"], worker["tools"], worker["queues"]) == ("host:2:b", held, ["production"])
    assert worker["installs_tools"]


def test_nobody_else_sees_the_workers(boss: Caller) -> None:
    new_person(boss, "ann")
    ann = Caller(boss.client, signed_in(boss, "ann"))

    refused(ann.get("/workers"), 403, "forbidden")
