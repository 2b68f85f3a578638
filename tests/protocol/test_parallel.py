"""Many clients at once at a real server: one winner, no gap, nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from tests.support.documents import lock_info, state_document
from tests.support.place import Place
from tests.support.wire import Answer

CLIENTS = 50


def all_at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    start = Barrier(len(calls))

    def run(call: Callable[[], Answer]) -> Answer:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_of_50_parallel_locks_exactly_one_wins(served_place: Place) -> None:
    infos = [lock_info() for _ in range(CLIENTS)]

    answers = all_at_once([lambda info=info: served_place.state.lock(info) for info in infos])  # type: ignore[misc]

    assert Counter(answer.status for answer in answers) == {200: 1, 423: CLIENTS - 1}
    winner = next(info for info, a in zip(infos, answers, strict=True) if a.status == 200)
    assert {a.json()["ID"] for a in answers if a.status == 423} == {winner["ID"]}


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
