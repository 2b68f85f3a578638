"""Many clients at once at a real server: one winner, no gap, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Any

from backend.states import retention
from backend.states.retention import Policy
from backend.upkeep import installation
from client.conformance.wire import bearer
from tests.support.documents import lock_info, state_document
from tests.support.parallel import all_at_once
from tests.support.place import Place

CLIENTS = 50


def test_50_parallel_writes_are_numbered_without_gap(served_place: Place) -> None:
    info = lock_info(operation="state-push")  # under which every serial is welcome
    served_place.state.lock(info)
    bodies = [state_document(n, lineage="a") for n in range(CLIENTS)]

    answers = all_at_once(
        [lambda body=body: served_place.state.write(body, info["ID"]) for body in bodies]  # type: ignore[misc]
    )

    assert [answer.status for answer in answers] == [200] * CLIENTS
    assert [v["number"] for v in served_place.versions()] == list(range(CLIENTS, 0, -1))
    assert served_place.state.read().body in bodies


def test_50_parallel_copies_of_one_write_make_one_version(served_place: Place) -> None:
    info, body = lock_info(), state_document()
    served_place.state.lock(info)

    answers = all_at_once([lambda: served_place.state.write(body, info["ID"])] * CLIENTS)

    assert [answer.status for answer in answers] == [200] * CLIENTS
    assert len(served_place.versions()) == 1


def test_50_parallel_writes_without_a_lock_store_each_accepted_one(served_place: Place) -> None:
    bodies = [state_document(n, lineage="a") for n in range(1, CLIENTS + 1)]

    answers = all_at_once([lambda body=body: served_place.state.write(body) for body in bodies])  # type: ignore[misc]

    accepted = [n for n, answer in enumerate(answers, 1) if answer.status == 200]
    assert {answer.status for answer in answers} <= {200, 409}
    versions: list[dict[str, Any]] = served_place.versions()
    assert sorted(v["serial"] for v in versions) == accepted
    assert [v["number"] for v in versions] == list(range(len(accepted), 0, -1))
    assert served_place.state.read().body == bodies[-1]


@contextmanager
def pruned_all_the_time(place: Place, policy: Policy) -> Iterator[None]:
    """Two processes that look for versions to prune, without a pause."""
    ended = Event()

    def prune() -> None:
        here = installation.existing(place._settings)
        with closing(here.database):
            while not ended.is_set():
                with here.database.reading() as db:
                    found = retention.look(db, policy, limit=1000).surplus
                for surplus in found:
                    with here.itself.transaction() as tx:
                        retention.prune(tx, surplus)

    threads = [Thread(target=prune) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def apply_in_parallel(place: Place, bodies: list[bytes]) -> None:
    """All its writes at once, under one lock."""
    info = lock_info(operation="state-push")  # under which every serial is welcome
    place.state.lock(info)

    answers = all_at_once(
        [lambda body=body: place.state.write(body, info["ID"]) for body in bodies]  # type: ignore[misc]
    )

    assert {answer.status for answer in answers} == {200}
    assert place.state.read().body in bodies
    assert place.state.unlock(info).status == 200


def test_numbers_have_no_gap_while_retention_and_compaction_are_at_work(
    served_place: Place,
) -> None:
    applies, writes, keep = 5, 10, 6
    served_place.api.patch(
        served_place.filled("/projects/{project}/workspaces/{workspace}"), keep_versions=keep
    )

    with pruned_all_the_time(
        served_place, Policy(1000, None, all_days=0, daily_days=0, max_bytes=10**12)
    ):
        for first in range(0, applies * writes, writes):
            serials = range(first, first + writes)
            apply_in_parallel(
                served_place, [state_document(serial, lineage="a") for serial in serials]
            )

    states = served_place.filled("/projects/{project}/workspaces/{workspace}/states")
    history = served_place.api.get(states, removed="true", limit=200)["items"]
    assert [v["number"] for v in history] == list(range(applies * writes, 0, -1))
    kept = [v["number"] for v in history if v["removed_at"] is None]
    assert kept[:4] == [50, 41, 40, 31]


def test_a_lock_and_a_restore_at_once_never_both_succeed(served_place: Place) -> None:
    for serial in (1, 2):
        served_place.state.write(state_document(serial, lineage="a"))
    restore = served_place.filled(
        "/api/v1/projects/{project}/workspaces/{workspace}/states/1/restore"
    )

    for turn in range(1, 6):
        info = lock_info()
        locked, restored = all_at_once(
            [
                lambda info=info: served_place.state.lock(info),  # type: ignore[misc]
                lambda: served_place.wire.send(
                    "POST", restore, b"", bearer(served_place.api.token)
                ),
            ]
        )
        assert locked.status == 200
        assert restored.status in {201, 423}
        newest = served_place.versions()[0]
        served_place.state.write(state_document(10 * turn, lineage="a"), info["ID"])
        served_place.state.unlock(info)
        assert served_place.versions()[0]["number"] == newest["number"] + 1
