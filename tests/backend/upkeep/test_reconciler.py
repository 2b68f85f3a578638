"""Leases end when a worker is silent, and not when nobody could have heard it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from backend.config import Settings
from backend.db import now
from backend.errors import Unavailable
from backend.models import Run
from backend.runs import claims, queue
from backend.transactions import Installation
from backend.upkeep import installation
from backend.upkeep.reconciler import Reconciler
from execution import repositories
from tests.support.postgres import Postgres
from tests.support.processes import wait_until
from tests.support.rows import add_workspaces

LEASE = 2.0


@pytest.fixture
def here(settings: Settings) -> Iterator[Installation]:
    short = {"lease_seconds": LEASE, "poll_seconds": 0.1}
    made = repositories.knowing_the_rules(installation.prepare(settings.model_copy(update=short)))
    yield made
    made.database.close()


@pytest.fixture
def silent(here: Installation) -> str:
    """A run at work whose lease has just ended."""
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        run_id = queue.queue(tx, workspace, queue.NewRun("apply")).id
        assert claims.claim(tx, run_id, "w1", timedelta(seconds=LEASE))
        ended = {"lease_expires_at": now(-timedelta(milliseconds=1))}
        tx.db.execute(update(Run).where(Run.id == run_id).values(ended))
    return run_id


def taken(here: Installation, reconciler: Reconciler, run_id: str) -> Callable[[], bool]:
    """Whether a run was taken from its worker, after another look."""

    def look() -> bool:
        reconciler.expire_leases()
        with here.itself.reading() as tx:
            return tx.db.get_one(Run, run_id).status != "preparing"

    return look


def misses_it(reconciler: Reconciler) -> bool:
    """Whether it cannot reach the database."""
    try:
        reconciler.expire_leases()
    except Unavailable:
        return True
    return False


def test_a_process_that_has_just_started_gives_the_workers_one_lease(
    here: Installation, silent: str
) -> None:
    reconciler = Reconciler(here)
    look = taken(here, reconciler, silent)
    started = time.monotonic()

    assert not look()

    wait_until(look, "the run to be taken", every=0.1)
    assert time.monotonic() - started >= LEASE


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_after_the_database_was_away_the_workers_get_one_lease(
    here: Installation, silent: str, database: str, postgres: Postgres
) -> None:
    reconciler = Reconciler(here)
    look = taken(here, reconciler, silent)
    assert not look()

    with postgres.away(database):
        wait_until(lambda: misses_it(reconciler), "the database to be away")
        ends = time.monotonic() + 1.5 * LEASE
        while time.monotonic() < ends:
            assert misses_it(reconciler)
            time.sleep(0.1)
    back = time.monotonic()

    assert not look()
    wait_until(look, "the run to be taken", every=0.1)
    assert time.monotonic() - back >= LEASE
