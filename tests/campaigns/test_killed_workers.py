"""Kill workers in the middle of their applies: `make campaign`. Nothing that was made is lost.

CAMPAIGN_KILLS says how many are killed (40).
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.support.cloud import Cloud
from tests.support.harm import Harmed
from tests.support.processes import wait_until
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom

log = logging.getLogger(__name__)
KILLS = int(os.environ.get("CAMPAIGN_KILLS", "40"))
AT_ONCE = 4  # workers, each with one run
LONGEST = 2.5  # seconds from the first resource to the kill


@pytest.mark.slow
@pytest.mark.timeout(60 + 60 * KILLS)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_killed_worker_loses_no_resource(
    new_stateroom: Callable[..., Stateroom],
    repository: Repository,
    cloud: Cloud,
    database: str,
    record_property: Callable[[str, object], None],
) -> None:
    seed = int(os.environ.get("CAMPAIGN_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    chance = random.Random(seed)
    repository.replace({"main.tf": cloud.module(resources=6, seconds=0.5)})
    installation = new_stateroom(
        database_url=database, lease_seconds=5, stop_grace_seconds=10, worker_slots=1
    ).start(workers=AT_ONCE)
    statuses: Counter[str] = Counter()
    lost: list[str] = []
    kills = 0

    while kills < KILLS:
        harmed = [Harmed(installation, repository, cloud) for _ in range(AT_ONCE)]
        for one in harmed:
            wait_until(one.has_begun, "the apply to make something")
        for _ in range(AT_ONCE):
            time.sleep(chance.uniform(0, LONGEST / AT_ONCE))
            installation.kill_worker()
            kills += 1
        for _ in range(AT_ONCE):
            installation.start_worker()
        for one in harmed:
            statuses[one.end()["status"]] += 1
            lost += [f"{one.run.id} {name}" for name in one.lost()]
            assert not one.made_twice(), seed
            assert not one.place.is_locked(), seed
        log.info("%s kills, %s, lost: %s", kills, dict(statuses), lost)

    record_property("kills", kills)
    assert not lost, f"seed {seed}: {kills} kills, {dict(statuses)}, lost: {lost}"
    assert statuses["lost"] > 0, seed
