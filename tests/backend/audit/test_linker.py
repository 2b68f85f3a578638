"""What the linker missed, because the database was locked or a commit came late, is linked soon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from backend.audit import entries as audit
from backend.audit import verify as audit_verify
from backend.audit.linker import TICK_SECONDS, Linker
from backend.transactions import Installation
from backend.upkeep.ticker import Duty, Ticker

RECENT = timedelta(milliseconds=100)  # instead of 30 s, so that a test need not lock that long
PATIENCE_SECONDS = 60.0


@pytest.fixture
def linker(here: Installation) -> Linker:
    """A linker that has already walked through all entries, and will not do so for an hour."""
    made = Linker(here, RECENT, late_every=0.2)
    while unlinked(here):
        made.tick()
    made.tick()
    return made


@contextmanager
def locked(here: Installation) -> Iterator[None]:
    """Another program holds the lock of the database, or of the table with the links."""
    statement = "BEGIN IMMEDIATE"
    if not here.settings.is_sqlite:
        statement = "LOCK TABLE audit_links IN ACCESS EXCLUSIVE MODE"
    with here.database.engine.connect() as other:
        if here.settings.is_sqlite:
            other.connection.driver_connection.execute(statement)  # type: ignore[union-attr]
        else:
            other.execute(text(statement))
        yield
        other.connection.driver_connection.rollback()  # type: ignore[union-attr]


def unlinked(here: Installation) -> int:
    return audit_verify.verify(here.itself).unlinked


def eventually(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_what_was_written_before_the_database_was_locked_is_linked_once_it_is_free(
    here: Installation, linker: Linker
) -> None:
    with here.itself.transaction() as tx:
        for number in range(5):
            audit.record(tx, "thing.do", f"thing-{number}")
    ticker = Ticker([Duty("link", linker, TICK_SECONDS)])

    with locked(here):
        ticker.start()
        time.sleep(5 * RECENT.total_seconds())
    found = eventually(lambda: unlinked(here) == 0)
    ticker.stop()

    assert found
    assert audit_verify.verify(here.itself).broken is None


def test_an_entry_whose_commit_waited_for_a_lock_is_linked_without_the_hourly_patrol(
    here: Installation, linker: Linker
) -> None:
    with here.itself.transaction() as tx:
        audit.record(tx, "thing.do", "thing")
        tx.db.flush()
        time.sleep(3 * RECENT.total_seconds())
    assert unlinked(here) == 1

    def ticked() -> bool:
        linker.tick()
        return unlinked(here) == 0

    assert eventually(ticked)
