"""Attempts are counted by all processes together, and guessing fills nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import func, select, text

from backend.config import Settings
from backend.db import Database
from backend.errors import Throttled
from backend.models import Attempts
from backend.people import throttles
from backend.people.throttles import Counter, Limit
from backend.transactions import Installation
from backend.upkeep.reconciler import Reconciler
from tests.support.parallel import all_at_once

FEW = Limit(free=3, every=100.0)
ADA, EVE = Counter.of(FEW, "ada"), Counter.of(FEW, "eve")


@pytest.fixture
def ours(here: Installation) -> Database:
    return here.database


@pytest.fixture
def another(here: Installation, settings: Settings) -> Iterator[Database]:
    """The database, as another process has it."""
    with closing(Database(settings)) as found:
        yield found


def attempts(database: Database, counter: Counter, times: int) -> list[bool]:
    """Whether each of so many attempts was one too many."""
    return [throttles.is_over(database, counter) for _ in range(times)]


def rows(database: Database) -> int:
    with database.reading() as db:
        return db.scalar(select(func.count()).select_from(Attempts)) or 0


def let_seconds_pass(database: Database, seconds: float) -> None:
    with database.transaction() as db:
        db.execute(text('UPDATE attempts SET "until" = "until" - :ms'), {"ms": int(seconds * 1000)})


def test_so_many_attempts_are_free_and_one_more_comes_back_at_a_time(ours: Database) -> None:
    assert attempts(ours, ADA, 5) == [False] * 3 + [True] * 2
    assert attempts(ours, EVE, 1) == [False]

    let_seconds_pass(ours, 101)

    assert attempts(ours, ADA, 2) == [False, True]


def test_who_is_refused_is_told_how_long_to_wait(ours: Database) -> None:
    attempts(ours, ADA, 3)

    for ask in (throttles.check, throttles.count):
        with pytest.raises(Throttled) as refused:
            ask(ours, [EVE, ADA])
        assert 0 < refused.value.seconds <= 100
    assert attempts(ours, EVE, 3) == [False] * 3  # nothing was counted for her


def test_all_processes_count_together(ours: Database, another: Database) -> None:
    assert attempts(ours, ADA, 2) == [False] * 2
    assert attempts(another, ADA, 2) == [False, True]
    assert attempts(ours, ADA, 1) == [True]


def test_of_many_at_once_only_the_free_ones_pass(ours: Database, another: Database) -> None:
    found = all_at_once(
        [lambda where=where: throttles.is_over(where, ADA) for where in (ours, another) * 8]  # type: ignore[misc]
    )

    assert sorted(found) == [False] * 3 + [True] * 13


def test_a_right_one_takes_its_own_attempt_back(ours: Database) -> None:
    wide = Counter.of(Limit(free=5, every=100.0), "everybody")
    for _ in range(3):
        throttles.count(ours, [ADA, wide])

    throttles.forgive(ours, [ADA, wide])

    assert attempts(ours, ADA, 3) == [False] * 3
    assert attempts(ours, wide, 4) == [False] * 3 + [True]


def test_a_counter_that_limits_nothing_any_more_is_removed(here: Installation) -> None:
    ours = here.database
    attempts(ours, ADA, 1)
    attempts(ours, EVE, 2)
    let_seconds_pass(ours, 150)

    Reconciler(here).forget_attempts()

    assert rows(ours) == 1
    assert attempts(ours, EVE, 3) == [False, False, True]


def test_guessing_fills_nothing_and_makes_no_counter_forgotten(
    ours: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttles, "MAX_ROWS", 10)
    attempts(ours, ADA, 3)

    for n in range(30):
        throttles.count(ours, [Counter.of(FEW, f"name {n}")])

    assert rows(ours) == 10
    assert attempts(ours, ADA, 1) == [True]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_a_client_is_one_address_or_one_network(address: str, network: str) -> None:
    assert throttles.network(address) == network
