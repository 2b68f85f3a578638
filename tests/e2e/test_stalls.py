"""What one client, or the database, or the broker does slowly holds up nobody else."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from tests.support.processes import Process, wait_until
from tests.support.queued_run import QueuedRun
from tests.support.redis_server import Redis
from tests.support.stateroom import Stateroom
from tests.support.wire import Http

NewStateroom = Callable[..., Stateroom]


class Asking(threading.Thread):
    """A request under way. It is answered when `answer` returns something."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._answers: list[Any] = []
        self.start()

    def run(self) -> None:
        try:
            self._answers.append(self._ask())
        except Exception as error:  # noqa: BLE001 shown by the assertion
            self._answers.append(error)

    def answer(self) -> Any:
        return self._answers[0] if self._answers else None


def is_alive(stateroom: Stateroom) -> bool:
    return Http(stateroom.url).send("GET", "/healthz").status == 200


@contextmanager
def locked(stateroom: Stateroom) -> Iterator[None]:
    """The database as it is while another process writes to it."""
    file = stateroom.data_dir / "stateroom.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_database_that_another_process_has_locked_stops_only_who_writes(
    new_stateroom: NewStateroom,
) -> None:
    stateroom = new_stateroom()
    stateroom.start(workers=0)
    api = stateroom.api
    api.post("/projects", name="before")

    with locked(stateroom):
        writing = [Asking(partial(api.post, "/projects", name=f"p{n}")) for n in range(3)]
        for _ in range(20):
            assert is_alive(stateroom)
            assert [project["name"] for project in api.every("/projects")] == ["before"]
        assert [each.answer() for each in writing] == [None, None, None]

    made = [wait_until(each.answer, "the write to be answered")["name"] for each in writing]
    assert made == ["p0", "p1", "p2"]


def test_a_broker_that_hangs_does_not_hold_up_who_queues_a_run(
    new_stateroom: NewStateroom, redis: Redis
) -> None:
    stateroom = new_stateroom(broker_url=redis.url)
    server = stateroom.start_server()
    place = stateroom.place()
    place.queue("plan").cancel()  # connects to Redis

    with redis.paused():
        # one is enough, in case the machine is busier than the broker's time-out is long
        assert any(not has_lost(server, place.queue("plan")) for _ in range(5))
        wait_until(lambda: "bell_lost" in server.said(), "the bell to be given up")


def has_lost(server: Process, run: QueuedRun) -> bool:
    """Whether the server has already given up to ring for this run, which it has just answered."""
    return any("bell_lost" in line and run.id in line for line in server.said().splitlines())
