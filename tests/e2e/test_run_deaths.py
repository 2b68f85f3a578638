"""When a process dies during a run, its status is right, nothing is lost and no lock stays."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.place import Place
from tests.support.processes import living_in, wait_until
from tests.support.queued_run import QueuedRun
from tests.support.redis_server import Redis
from tests.support.repositories import MODULE, Repository, sleeping_module, waiting_module
from tests.support.shown import at, shown
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

SHORT_LEASE = 4.0  # seconds: a machine that is busy must not look like a dead worker


def resources(place: Place) -> set[str]:
    read = place.state.read()
    assert read.status == 200, read
    return {resource["name"] for resource in read.json()["resources"]}


@pytest.fixture
def new_mortal(
    new_stateroom: Callable[..., Stateroom],
) -> Callable[..., Stateroom]:
    """Makes installations that may be killed."""

    def make(workers: int = 1, **settings: object) -> Stateroom:
        installation = new_stateroom(stop_grace_seconds=10, **settings)
        return installation.start(workers=workers)

    return make


def slow_run(
    installation: Stateroom,
    repository: Repository,
    tool: Tool,
    module: str = sleeping_module(600),
) -> tuple[Place, QueuedRun]:
    """A run that has created one resource of the module and is slow with another."""
    repository.replace({"main.tf": module})
    place = installation.place(repository=str(repository.folder), tool=tool.name)
    run = place.queue("apply")
    run.wait("applying")
    wait_until(lambda: sleepers(installation), "the slow resource to begin")
    return place, run


def swept(installation: Stateroom) -> None:
    """What a dead run left in its folder goes within 60 seconds."""
    wait_until(lambda: not installation.work_folders(), "the dead run's folder to go", seconds=60)


def first_processes(installation: Stateroom) -> list[psutil.Process]:
    """The first process of each sandbox."""
    found = living_in(installation.work_dir)
    status = {process: Path(f"/proc/{process.pid}/status").read_text() for process in found}
    return [p for p, text in status.items() if re.search(r"^NSpid:.*\t1$", text, re.MULTILINE)]


def open_gate(installation: Stateroom) -> None:
    """Let the runs go on that wait for a file in their folder."""
    for folder in installation.work_folders():
        (installation.work_dir / folder / "checkout" / "source" / "gate").touch()


def sleepers(installation: Stateroom) -> list[Any]:
    return living_in(installation.work_dir, "sleep")


def test_a_worker_killed_in_mid_apply_loses_the_run_but_not_the_state(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = new_mortal(lease_seconds=SHORT_LEASE)
    place, run = slow_run(installation, repository, tool)

    installation.kill_worker()
    run.wait("lost", seconds=60)
    told = shown(place, run)

    # the tool heard that its parent died, saved what it had made, and unlocked
    assert resources(place) == {"quick", "slow"}
    assert not place.is_locked()
    assert told["error"] == "worker-lost"
    assert "the worker" in told["what is wrong"].lower()
    acknowledging = f"`stateroom runs acknowledge -p {place.project} {run.id}`"
    assert acknowledging in told["do next"]

    # nobody starts anything there until a person has looked
    installation.start_worker()
    repository.replace({"main.tf": sleeping_module(0)})
    following = place.queue("apply")
    assert installation.api.get(following.path)["blocked_by"] == run.id
    at(place).must(*acknowledging.strip("`").split()[1:])
    following.wait("applied")
    assert resources(place) == {"quick", "slow"}
    # terraform alone hears that its parent died: what a provisioner has started goes on
    wait_until(lambda: not sleepers(installation), "its processes to end")
    swept(installation)


def test_a_sandbox_whose_first_process_is_killed_ends_its_run_and_leaves_nobody(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = new_mortal()
    place, run = slow_run(installation, repository, tool)

    for first in first_processes(installation):
        first.kill()
    ended = run.wait("errored", seconds=60)

    assert ended["error"]["code"] == "apply-failed"
    assert "SIGKILL" in ended["error"]["message"]
    assert not sleepers(installation)
    swept(installation)
    repository.replace({"main.tf": sleeping_module(0)})
    place.queue("apply").wait("applied")
    assert not place.is_locked()


def test_a_worker_killed_before_the_apply_gives_its_run_back(
    new_mortal: Callable[..., Stateroom], repository: Repository
) -> None:
    installation = new_mortal(lease_seconds=SHORT_LEASE)
    many = 'resource "terraform_data" "x" {\n  count = 1500\n  input = count.index\n}\n'
    repository.replace({"main.tf": many})
    place = installation.place(repository=str(repository.folder))
    run = place.queue("plan")
    run.wait("preparing", "planning")

    installation.kill_worker()
    installation.start_worker()
    ended = run.wait(seconds=90)

    assert ended["status"] == "planned_and_finished", run.log()
    assert ended["attempts"] == 2
    assert ended["changes"]["add"] == 1500
    assert not place.is_locked()
    swept(installation)


def test_a_server_killed_in_mid_apply_and_started_again_is_not_noticed_by_the_run(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool, tmp_path: Path
) -> None:
    installation = new_mortal()
    place, run = slow_run(installation, repository, tool, waiting_module(Path("gate")))

    installation.kill_server()
    installation.start_server()
    open_gate(installation)
    ended = run.wait(seconds=90)

    assert ended["status"] == "applied", run.log()
    assert resources(place) == {"quick", "slow"}
    assert not place.is_locked()


def test_a_state_that_the_server_could_not_take_is_taken_in_later(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool, tmp_path: Path
) -> None:
    installation = new_mortal()
    place, run = slow_run(installation, repository, tool, waiting_module(Path("gate")))

    installation.kill_server()
    open_gate(installation)
    # the tool tries three times, and gives up
    wait_until(lambda: not sleepers(installation), "the slow resource to be made")
    wait_until(lambda: not installation.work_folders(), "the run to end", seconds=60)
    installation.start_server()
    ended = run.wait(seconds=90)

    assert ended["status"] == "applied", run.log()
    assert "The worker stored it" in " ".join(ended["warnings"])
    assert resources(place) == {"quick", "slow"}
    assert not place.is_locked()


def test_a_canceled_apply_saves_what_it_made_and_unlocks(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = new_mortal()
    place, run = slow_run(installation, repository, tool)

    run.cancel()
    ended = run.wait("canceled", seconds=60)

    assert ended["cancel_requested_at"]
    assert resources(place) >= {"quick"}
    assert not place.is_locked()
    assert not sleepers(installation)


def test_an_apply_that_is_canceled_by_force_ends_canceled_and_its_tool_is_killed(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = new_mortal()
    place, run = slow_run(installation, repository, tool)

    place.api.post(f"{run.path}/force-cancel")
    ended = run.wait("canceled", seconds=60)

    assert ended["error"]["code"] == "canceled"
    assert not place.is_locked()
    wait_until(lambda: not sleepers(installation), "its processes to end")


def test_a_run_that_its_worker_interrupts_says_that_nobody_canceled_it(
    new_mortal: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = new_mortal()
    place, run = slow_run(installation, repository, tool)

    [worker] = installation.workers
    worker.signal(signal.SIGINT)
    ended = run.wait("canceled", seconds=60)

    assert ended["error"]["code"] == "worker-stopped"
    assert "its worker was stopped" in ended["error"]["message"]
    assert ended["cancel_requested_at"] is None
    assert resources(place) == {"quick", "slow"}
    worker.wait()


def test_a_run_canceled_in_the_queue_never_starts(
    new_mortal: Callable[..., Stateroom], repository: Repository
) -> None:
    installation = new_mortal(workers=0)
    place = installation.place(repository=str(repository.folder))
    run = place.queue("apply")

    run.cancel()
    installation.start_worker()
    after = place.queue("plan")
    after.wait("planned_and_finished")

    assert run.status() == "canceled"
    assert run.steps() == []


def test_a_worker_that_was_paused_goes_on(
    new_mortal: Callable[..., Stateroom], repository: Repository
) -> None:
    installation = new_mortal()
    [worker] = installation.workers
    wait_until(lambda: "worker_started" in worker.said(), "the worker")

    for _ in range(2):
        worker.signal(signal.SIGSTOP)
        time.sleep(1.5)  # longer than it waits
        worker.signal(signal.SIGCONT)
    run = installation.place(repository=str(repository.folder)).queue("plan")

    run.wait("planned_and_finished")
    assert worker.running


def test_a_worker_that_is_stopped_lets_its_run_end(
    new_mortal: Callable[..., Stateroom], repository: Repository
) -> None:
    installation = new_mortal()
    place, run = slow_run(
        installation, repository, Tool("terraform", repository.folder), sleeping_module(2)
    )

    installation.workers.pop().stop(90)

    assert run.status() == "applied"
    assert resources(place) == {"quick", "slow"}


def test_without_redis_everything_still_happens(
    new_mortal: Callable[..., Stateroom], repository: Repository, redis: Redis
) -> None:
    installation = new_mortal(workers=0, broker_url=redis.url)
    waiting = [installation.place(repository=str(repository.folder)) for _ in range(3)]
    queued = [place.queue("apply") for place in waiting]

    redis.kill()
    queued += [place.queue("plan") for place in waiting]
    installation.start_worker()
    ended = [run.wait()["status"] for run in queued]
    redis.start()
    later = waiting[0].queue("plan").wait()

    assert ended == ["applied"] * 3 + ["planned_and_finished"] * 3
    assert later["status"] == "planned_and_finished"


def test_redis_killed_under_a_worker_is_not_noticed(
    new_mortal: Callable[..., Stateroom], repository: Repository, redis: Redis
) -> None:
    installation = new_mortal(broker_url=redis.url)
    place = installation.place(repository=str(repository.folder))
    place.queue("apply").wait("applied")

    redis.kill()
    without = place.queue("plan").wait()
    redis.start()
    again = place.queue("plan").wait()

    assert (without["status"], again["status"]) == ("planned_and_finished",) * 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_two_workers_share_the_work_and_do_nothing_twice(
    new_mortal: Callable[..., Stateroom], repository: Repository, redis: Redis, database: str
) -> None:
    installation = new_mortal(workers=2, broker_url=redis.url, database_url=database)
    repository.replace({"main.tf": MODULE})
    places = [installation.place(repository=str(repository.folder)) for _ in range(8)]

    runs = [place.queue("apply") for place in places]
    ended = [run.wait() for run in runs]

    assert {run["status"] for run in ended} == {"applied"}
    assert {run["attempts"] for run in ended} == {1}
    assert [len(place.versions()) for place in places] == [1] * 8
