"""What is away for a while (database, server, worker) costs no run and no state."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.api import Refused
from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.processes import living_in, wait_until
from tests.support.proxy import Proxy, proxy_to
from tests.support.queued_run import QueuedRun
from tests.support.redis_server import Redis
from tests.support.repositories import Repository, waiting_module
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

SHORT_LEASE = 4.0  # seconds: a machine that is busy must not look like a dead worker

on_postgresql = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxy_to("") as made:
        yield made


@pytest.fixture
def new_applying(
    repository: Repository, tool: Tool, gate: Path
) -> Callable[..., tuple[Place, QueuedRun]]:
    """Makes runs that have made one resource, and make the other one when there is the gate."""

    def make(installation: Stateroom) -> tuple[Place, QueuedRun]:
        repository.replace({"main.tf": waiting_module(gate)})
        place = installation.place(repository=str(repository.folder), tool=tool.name)
        run = place.queue("apply")
        run.wait("applying")
        wait_until(lambda: living_in(installation.work_dir, "sleep"), "the slow resource to begin")
        return place, run

    return make


def resources(place: Place) -> set[str]:
    return {resource["name"] for resource in place.state.read().json()["resources"]}


def rescued(place: Place) -> list[str]:
    path = place.filled("/projects/{project}/workspaces/{workspace}/rescued")
    return [kept["id"] for kept in place.api.every(path)]


@on_postgresql
def test_a_database_that_is_away_for_longer_than_the_lease_loses_no_run(
    new_stateroom: Callable[..., Stateroom],
    new_applying: Callable[..., tuple[Place, QueuedRun]],
    redis: Redis,
    postgres: Postgres,
    database: str,
    gate: Path,
) -> None:
    installation = new_stateroom(
        database_url=database, broker_url=redis.url, lease_seconds=SHORT_LEASE
    ).start(workers=2)
    place, run = new_applying(installation)

    with postgres.away(database):
        time.sleep(3 * SHORT_LEASE)
    gate.touch()
    ended = run.wait(seconds=90)

    assert ended["status"] == "applied", run.log()
    assert ended["attempts"] == 1
    assert resources(place) == {"quick", "slow"}
    assert rescued(place) == []


@on_postgresql
def test_a_state_that_is_written_while_the_database_is_away_is_stored_when_it_is_back(
    new_stateroom: Callable[..., Stateroom],
    new_applying: Callable[..., tuple[Place, QueuedRun]],
    redis: Redis,
    postgres: Postgres,
    database: str,
    gate: Path,
) -> None:
    installation = new_stateroom(
        database_url=database, broker_url=redis.url, lease_seconds=SHORT_LEASE
    ).start(workers=2)
    place, run = new_applying(installation)

    with postgres.away(database):
        gate.touch()
        wait_until(
            lambda: any("rescue_waits" in worker.said() for worker in installation.workers),
            "the worker to have the state that the tool could not store",
        )
    ended = run.wait(seconds=90)

    assert ended["status"] == "applied", run.log()
    assert ended["error"] is None
    assert "The worker stored it" in " ".join(ended["warnings"])
    assert resources(place) == {"quick", "slow"}
    assert rescued(place) == []
    assert not place.is_locked()


def test_a_run_that_finds_the_server_away_before_its_apply_is_tried_again(
    new_stateroom: Callable[..., Stateroom], proxy: Proxy, repository: Repository, tool: Tool
) -> None:
    installation = new_stateroom(public_url=proxy.url)
    proxy.upstream = installation.url
    place = installation.start().place(repository=str(repository.folder), tool=tool.name)

    proxy.cut("LOCK", 3)  # the tool asks three times
    run = place.queue("apply")
    ended = run.wait()

    assert (ended["status"], ended["attempts"]) == ("applied", 2), run.log()
    assert "state-locked" not in run.log()


def test_what_a_tool_did_while_its_worker_was_paused_for_too_long_is_told_and_kept(
    new_stateroom: Callable[..., Stateroom],
    new_applying: Callable[..., tuple[Place, QueuedRun]],
    gate: Path,
) -> None:
    installation = new_stateroom(lease_seconds=SHORT_LEASE, stop_grace_seconds=10).start()
    place, run = new_applying(installation)
    [worker] = installation.workers

    worker.signal(signal.SIGSTOP)
    run.wait("lost", seconds=60)
    gate.touch()
    left = "*/checkout/source/errored.tfstate"
    wait_until(lambda: list(installation.work_dir.glob(left)), "the tool to be refused")
    worker.signal(signal.SIGCONT)
    wait_until(lambda: rescued(place), "the state to be kept")

    run.wait_to_say("The run was lost. What follows was said later")
    run.wait_to_say("terraform_data.slow: Creation complete")
    [kept] = rescued(place)
    assert kept in place.api.get(run.path)["error"]["message"]
    with pytest.raises(Refused) as refused:
        run.acknowledge()
    assert refused.value.problem["code"] == "rescued-undecided"
    workspace = place.filled("/projects/{project}/workspaces/{workspace}")
    place.api.post(f"{workspace}/rescued/{kept}/promote")
    run.acknowledge()
    assert place.queue("plan").wait()["changes"]["add"] == 0
    assert resources(place) == {"quick", "slow"}
