"""Kill a process every second or two, for a minute: `make campaign`."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.place import Place
from tests.support.queued_run import QueuedRun
from tests.support.redis_server import Redis
from tests.support.repositories import Repository, sleeping_module
from tests.support.stateroom import Stateroom

SECONDS = 60.0
PLACES = 6
HONEST = {"applied", "planned_and_finished", "errored", "lost", "canceled"}


def kill_and_start(chance: random.Random, installation: Stateroom, redis: Redis) -> str:
    """End one of them with kill -9, and start it again."""
    victim = chance.choice(["worker", "worker", "server", "redis"])
    if victim == "worker":
        installation.kill_worker()
        installation.start_worker()
    elif victim == "server":
        installation.kill_server()
        installation.start_server()
    else:
        redis.kill()
        redis.start()
    return victim


def acknowledged(run: QueuedRun) -> str:
    """Wait for the end of a run, and acknowledge it if it was lost."""
    status: str = run.wait(*HONEST, seconds=120)["status"]
    if status == "lost":
        run.acknowledge()
    return status


@pytest.mark.slow
@pytest.mark.timeout(600)
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
        database_url=database, broker_url=redis.url, lease_seconds=5, stop_grace_seconds=5
    ).start(workers=2)
    places = [installation.place(repository=str(repository.folder)) for _ in range(PLACES)]
    queued: list[tuple[Place, QueuedRun]] = []
    deaths: Counter[str] = Counter()

    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        queued += [(place, place.queue(chance.choice(["apply", "destroy"]))) for place in places]
        time.sleep(chance.uniform(0.5, 3))
        deaths[kill_and_start(chance, installation, redis)] += 1

    statuses = Counter(acknowledged(run) for _, run in queued)
    said = f"seed {seed}: {dict(deaths)} died, and the runs are {dict(statuses)}"
    for place in places:
        assert not place.is_locked(), said
        numbers = [version["number"] for version in place.versions()]
        assert numbers == list(range(len(numbers), 0, -1)), said
        assert place.state.read().status in {200, 404}, said
        applies = Counter(
            run for action, run in place.audited_objects() if action == "run.applying"
        )
        assert set(applies.values()) <= {1}, said
    assert statuses["applied"] > 0, said
