"""Kill or hurt something every second or two, for a minute: `make campaign`."""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.support.deaths import Deaths
from tests.support.harm import HONEST, decide
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.queued_run import QueuedRun
from tests.support.redis_server import Redis
from tests.support.repositories import Repository, sleeping_module
from tests.support.small_disk import may_mount, small_disk
from tests.support.stateroom import Stateroom

log = logging.getLogger(__name__)
SECONDS = 60.0
PLACES = 6
LEASE = 5.0
WEIGHTS = {"worker": 4, "server": 2, "redis": 2}  # of what comes more often than the others


def ended(place: Place, run: QueuedRun) -> str:
    """Wait for the end of a run, and do for it what a person would do; its status."""

    def is_over() -> bool:
        decide(place)  # a write that is found later holds this run back
        return run.status() in HONEST

    wait_until(is_over, f"the end of {run.id}", seconds=240, every=0.5)
    status = run.status()
    if status == "lost":
        run.acknowledge()
    return status


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_whoever_dies_every_run_ends_and_every_state_is_whole(
    new_stateroom: Callable[..., Stateroom],
    repository: Repository,
    redis: Redis,
    database: str,
    record_property: Callable[[str, object], None],
) -> None:
    seed = int(os.environ.get("CAMPAIGN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    record_property("seed", seed)
    chance = random.Random(seed)
    repository.replace({"main.tf": sleeping_module(1)})
    installation = new_stateroom(
        database_url=database, broker_url=redis.url, lease_seconds=LEASE, stop_grace_seconds=5
    )
    with ExitStack() as stack:
        disks = {}
        if may_mount():  # the work folder is in the data folder, on a disk of its own
            disks["server_disk"] = stack.enter_context(small_disk(installation.data_dir, 128))
            disks["worker_disk"] = stack.enter_context(small_disk(installation.work_dir, 64))
        deaths = Deaths(installation.start(workers=2), redis, **disks).ways
        places = [installation.place(repository=str(repository.folder)) for _ in range(PLACES)]
        queued: list[tuple[Place, QueuedRun]] = []
        died: Counter[str] = Counter()

        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            queued += [
                (place, place.queue(chance.choice(["apply", "destroy"]))) for place in places
            ]
            time.sleep(chance.uniform(0.5, 3))
            [way] = chance.choices([*deaths], [WEIGHTS.get(way, 1) for way in deaths])
            deaths[way]()
            died[way] += 1

        statuses = Counter(ended(place, run) for place, run in queued)
        said = f"seed {seed}: {dict(died)} died, and the runs are {dict(statuses)}"
        log.info(said)
        for place in places:
            check(place, said)
        assert statuses["applied"] > 0, said
        assert installation.stop_processes() == [], said


def check(place: Place, said: str) -> None:
    assert not place.is_locked(), said
    numbers = [version["number"] for version in place.versions()]
    assert numbers == list(range(len(numbers), 0, -1)), said
    assert place.state.read().status in {200, 404}, said
    applies = Counter(run for action, run in place.audited_objects() if action == "run.applying")
    assert set(applies.values()) <= {1}, said
