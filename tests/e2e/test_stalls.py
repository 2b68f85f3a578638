"""What one client, or the database, or the broker does slowly holds up nobody else."""

from __future__ import annotations

import json
import re
import resource
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.processes import Process, wait_until
from tests.support.queued_run import QueuedRun
from tests.support.redis_server import Redis
from tests.support.stateroom import Stateroom
from tests.support.wire import Http

HALF_SENT = 1_050  # requests
ANSWERS = 10  # in the seconds of such a comparison; a second has room for hundreds
MEMORY = 150_000_000  # bytes; each of the two documents has 16 million

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


def large_state(serial: int, megabytes: int) -> bytes:
    """A state of resources with attributes, as terraform writes it, and two outputs."""
    resources = [
        {
            "mode": "managed", "type": "null_resource", "name": f"r{n}", "provider": "p",
            "instances": [{"attributes": {f"a{k}": f"{serial}-{n}-{k}-" + "x" * 80
                                          for k in range(100)}}],
        }
        for n in range(100 * megabytes)
    ]  # fmt: skip
    outputs = {"url": {"value": "https://x"}, "key": {"value": "s3cret", "sensitive": True}}
    document = {"version": 4, "serial": serial, "lineage": "l", "outputs": outputs}
    return json.dumps({**document, "resources": resources}).encode()


def forget_outputs(stateroom: Stateroom) -> None:
    """Make all versions what an older Stateroom has written."""
    with closing(sqlite3.connect(stateroom.data_dir / "stateroom.db", timeout=60)) as database:
        database.execute("UPDATE state_versions SET outputs = NULL")
        database.commit()


class Peak:
    """By how many bytes the process that answers requests has grown."""

    def __init__(self, server: Process) -> None:
        # the one with the application, not the one that only watches it
        serving = max(server.descendants(), key=lambda process: process.memory_info().rss)
        self._folder = Path(f"/proc/{serving.pid}")
        (self._folder / "clear_refs").write_text("5")
        self._before = self._highest()

    def grown(self) -> int:
        return self._highest() - self._before

    def _highest(self) -> int:
        status = (self._folder / "status").read_text()
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        assert found
        return int(found[1]) * 1024


def test_large_states_are_read_and_compared_beside_the_answers_of_others(
    new_stateroom: NewStateroom,
) -> None:
    stateroom = new_stateroom()
    server = stateroom.start_server()
    place = stateroom.place()
    workspace = f"/projects/{place.project}/workspaces/{place.workspace}"
    for serial in (1, 2):
        assert place.state.write(large_state(serial, 16)).status == 200
    forget_outputs(stateroom)
    peak = Peak(server)

    patient = Api(Http(stateroom.url, seconds=600), stateroom.token)
    outputs = [Asking(partial(patient.get, f"{workspace}/outputs")) for _ in range(6)]
    diffs = [Asking(partial(patient.send, "GET", f"{workspace}/states/diff")) for _ in range(4)]
    answered = 0
    while not all(each.answer() for each in (*outputs, *diffs)):
        assert is_alive(stateroom)
        answered += 1

    shown = [each.answer()["outputs"]["url"]["value"] for each in outputs]
    assert shown == ["https://x"] * 6
    # 503 with Retry-After: its turn did not come in time on this machine
    for answer in (each.answer() for each in diffs):
        assert answer.status in {200, 503}, (answer.body[:1000], server.said()[-4000:])
    assert answered >= ANSWERS
    assert peak.grown() < MEMORY


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have as many connections open as the test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * HALF_SENT:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * HALF_SENT), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_half_sent_requests_hold_up_nobody(new_stateroom: NewStateroom) -> None:
    stateroom = new_stateroom()
    stateroom.start_server()

    with ExitStack() as stack:
        for _ in range(HALF_SENT):
            client = socket.create_connection(("127.0.0.1", stateroom.port), timeout=60)
            stack.enter_context(client).sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")

        assert all(is_alive(stateroom) for _ in range(ANSWERS))
        assert stateroom.api.every("/projects") == []


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
