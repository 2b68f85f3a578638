"""Which versions stay: by number, by age, by pin; and the files of those that do not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select, update

from backend.config import Settings
from backend.db import now
from backend.documents.heading import Heading
from backend.documents.intake import Received
from backend.errors import Locked
from backend.models import AuditEntry, Project, State, StateVersion, Workspace
from backend.sealing.blobs import Blobs
from backend.sealing.frames import new_data_key, seal_frames
from backend.states import locks, retention, states, versions
from backend.states.locks import LockInfo
from backend.states.retention import Policy, Size
from backend.states.states import Origin
from backend.transactions import Installation
from backend.upkeep import installation
from backend.upkeep.reconciler import Reconciler

LARGE = 10**12


def numbers_of(versions: int, days: int | None = None) -> Policy:
    """A policy that goes by number and age alone."""
    return Policy(versions, days, all_days=0, daily_days=0, max_bytes=LARGE)


KEEP_ALL = numbers_of(1000)


class Kept:
    """A state with many versions in an installation of its own."""

    def __init__(self, here: Installation) -> None:
        self.here = here
        with here.itself.transaction() as tx:
            self.project = Project(name="alpha")
            tx.db.add(self.project)
            tx.db.flush()
            self.workspace = Workspace(project_id=self.project.id, name="one")
            tx.db.add(self.workspace)
            tx.db.flush()
            self.state = states.create(tx.db, self.workspace)

    def write(self, count: int, *, blob: str | None = None) -> None:
        for _ in range(count):
            with self.here.itself.transaction() as tx:
                state = tx.db.get_one(State, self.state.id)
                serial = state.current + 1
                states.append(tx, state, _document(serial, blob), Origin(None))

    def change(self, **workspace: int | None) -> None:
        self._set(Workspace, self.workspace.id, **workspace)

    def set_quota(self, max_versions: int) -> None:
        self._set(Project, self.project.id, max_versions=max_versions)

    def pin(self, *numbers: int) -> None:
        for number in numbers:
            with self.here.itself.transaction() as tx:
                versions.pin(tx, self.state, str(number))

    def age(self, days: int, *numbers: int) -> None:
        with self.here.itself.transaction() as tx:
            tx.db.execute(
                update(StateVersion)
                .where(StateVersion.number.in_(numbers))
                .values(created_at=now(-timedelta(days=days)))
            )

    def lock(self) -> None:
        with self.here.itself.transaction() as tx:
            locks.acquire(tx, self.state, LockInfo("l-1"))

    def numbers(self) -> list[int]:
        with self.here.itself.reading() as tx:
            page = versions.find_all(tx, self.state, limit=200)
            assert versions.kept(tx.db, self.state) == len(page.items)
            return [version.number for version in page.items]

    def prune(self, policy: Policy) -> int:
        """Prune all states, and return how many versions were removed."""
        count, after = 0, ""
        while True:
            with self.here.itself.reading() as tx:
                looked = retention.look(tx.db, policy, after)
            after = looked.last
            for surplus in looked.surplus:
                with self.here.itself.transaction() as tx:
                    count += retention.prune(tx, surplus)
            if not after:
                return count

    def actions(self, action: str) -> list[dict[str, object]]:
        with self.here.itself.reading() as tx:
            found = select(AuditEntry.detail).where(AuditEntry.action == action)
            return list(tx.db.scalars(found.order_by(AuditEntry.id)))

    def _set(self, table: type[Workspace | Project], row: str, **values: int | None) -> None:
        with self.here.itself.transaction() as tx:
            tx.db.execute(update(table).where(table.id == row).values(**values))


def _document(serial: int, blob: str | None) -> Received:
    key, body = new_data_key(), b"{}"
    return Received(
        size=len(body),
        md5=bytes(16),
        sha256=serial.to_bytes(32, "big"),
        heading=Heading(serial, "l", 4, "1.11.4", encrypted=False),
        data_key=key,
        ciphertext=None if blob else seal_frames(key, body),
        blob=blob,
    )


@pytest.fixture
def kept(settings: Settings) -> Iterator[Kept]:
    prepared = installation.prepare(settings)
    yield Kept(prepared)
    prepared.database.close()


def test_the_newest_versions_stay(kept: Kept) -> None:
    kept.write(8)

    assert kept.prune(numbers_of(3)) == 5

    assert kept.numbers() == [8, 7, 6]
    assert kept.actions("state.prune") == [{"numbers": [1, 2, 3, 4, 5]}]
    assert kept.prune(numbers_of(3)) == 0


def test_a_pinned_version_stays_beside_them(kept: Kept) -> None:
    kept.write(8)
    kept.pin(2, 7)

    kept.prune(numbers_of(3, 1))

    assert kept.numbers() == [8, 7, 6, 5, 2]


def test_the_current_version_stays_whatever_its_age(kept: Kept) -> None:
    kept.write(3)
    kept.age(100, 1, 2, 3)

    kept.prune(numbers_of(100, 30))

    assert kept.numbers() == [3]


def test_what_was_replaced_longer_than_a_number_of_days_ago_goes(kept: Kept) -> None:
    kept.write(5)
    kept.age(40, 1)
    kept.age(31, 2, 3)
    kept.age(29, 4)

    kept.prune(numbers_of(100, 30))

    assert kept.numbers() == [5, 4, 3]


def test_one_write_does_not_end_a_version_that_was_current_for_a_year(kept: Kept) -> None:
    kept.write(1)
    kept.age(365, 1)
    kept.write(1)

    kept.prune(numbers_of(100, 30))

    assert kept.numbers() == [2, 1]


def test_writing_removes_nothing_that_was_current_in_the_last_days(kept: Kept) -> None:
    kept.write(1)
    kept.age(365, 1)
    kept.write(122)

    assert kept.prune(replace(numbers_of(1), all_days=7)) == 0

    assert kept.numbers()[-1] == 1
    kept.set_quota(2)
    assert kept.prune(replace(KEEP_ALL, all_days=7)) == 0


def test_of_earlier_days_the_first_and_the_last_version_stay(kept: Kept) -> None:
    kept.write(9)
    kept.age(20, 1, 2, 3)
    kept.age(19, 4)
    kept.age(18, 5, 6, 7)

    kept.prune(replace(numbers_of(1), all_days=7, daily_days=90))

    # the last one of a day is replaced on another day, here less than seven days ago
    assert kept.numbers() == [9, 8, 7, 5, 4, 3, 1]


def test_what_was_the_only_version_of_its_day_stays_daily_after_it_is_replaced(kept: Kept) -> None:
    kept.write(30)
    kept.age(365, 1)
    kept.age(10, *range(2, 30))
    daily = replace(numbers_of(1), all_days=7, daily_days=90)

    kept.prune(daily)

    assert kept.numbers() == [30, 29, 2, 1]
    kept.age(100, *range(2, 30))
    kept.prune(daily)
    assert kept.numbers() == [30, 29]


def test_a_quota_removes_daily_versions_but_none_of_the_last_days(kept: Kept) -> None:
    kept.write(6)
    kept.age(20, 1)
    kept.age(19, 2)
    kept.age(18, 3)
    kept.set_quota(2)

    kept.prune(replace(KEEP_ALL, all_days=7, daily_days=90))

    assert kept.numbers() == [6, 5, 4, 3]


def test_a_workspace_may_keep_more_or_less_than_the_installation(kept: Kept) -> None:
    kept.write(6)
    kept.age(10, 1)
    kept.change(keep_versions=5, keep_days=20)

    kept.prune(numbers_of(2, 1))
    assert kept.numbers() == [6, 5, 4, 3, 2]
    kept.change(keep_versions=1, keep_days=None)
    kept.prune(KEEP_ALL)

    assert kept.numbers() == [6]


def test_a_quota_of_the_project_is_kept_with_the_pinned_ones_in_it(kept: Kept) -> None:
    kept.write(8)
    kept.pin(1, 2)
    kept.set_quota(4)

    kept.prune(KEEP_ALL)

    assert kept.numbers() == [8, 7, 2, 1]


def test_a_deleted_state_keeps_all_it_has(kept: Kept) -> None:
    kept.write(5)
    with kept.here.itself.transaction() as tx:
        tx.db.execute(update(State).values(deleted_at=now()))

    assert kept.prune(numbers_of(1, 1)) == 0


def test_a_locked_state_is_pruned_when_its_lock_has_ended_and_was_compacted(kept: Kept) -> None:
    kept.write(5)
    info = LockInfo("l-1")
    with kept.here.itself.transaction() as tx:
        locks.acquire(tx, kept.state, info)

    assert kept.prune(numbers_of(1, 1)) == 0
    with kept.here.itself.transaction() as tx:
        locks.release(tx, kept.state, info.id)

    assert kept.prune(numbers_of(1, 1)) == 4


def test_what_was_pinned_since_it_was_chosen_stays(kept: Kept) -> None:
    kept.write(4)
    with kept.here.itself.reading() as tx:
        (surplus,) = retention.look(tx.db, numbers_of(1)).surplus
    kept.pin(2)

    with kept.here.itself.transaction() as tx:
        assert retention.prune(tx, surplus) == 2

    assert kept.numbers() == [4, 2]


def test_what_a_lock_writes_while_others_are_chosen_displaces_nothing(kept: Kept) -> None:
    kept.write(4)

    with kept.here.itself.reading() as tx:

        @event.listens_for(tx.db.connection(), "after_cursor_execute", once=True)
        def write_meanwhile(*_: object) -> None:
            kept.lock()
            kept.write(10)

        found = retention.look(tx.db, numbers_of(3)).surplus

    assert [list(surplus.numbers) for surplus in found] == [[1]]


def test_the_oldest_go_first_in_batches(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    kept.write(12)

    assert kept.prune(numbers_of(2)) == 4
    assert kept.numbers() == [12, 11, 10, 9, 8, 7, 6, 5]


def test_the_reconciler_goes_on_until_nothing_is_left_to_prune(
    kept: Kept, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    kept.write(12)
    here = kept.here
    kept.age(10, *range(1, 13))
    few = settings.model_copy(update={"keep_versions": 2, "keep_all_days": 1, "keep_daily_days": 1})
    reconciler = Reconciler(replace(here, settings=few))

    for _ in range(3):
        reconciler.prune()

    assert kept.numbers() == [12, 11]


def test_a_state_with_too_much_history_takes_no_lock_until_there_is_less(
    kept: Kept, settings: Settings
) -> None:
    kept.write(3)  # of two bytes each
    reconciler = Reconciler(
        replace(kept.here, settings=settings.model_copy(update={"max_history_bytes": 5}))
    )

    reconciler.prune()

    assert kept.numbers() == [3, 2, 1]
    with pytest.raises(Locked) as refused:
        kept.lock()
    assert refused.value.holder["ID"] == "history-full"
    with kept.here.itself.transaction() as tx:
        versions.delete(tx, tx.db.get_one(State, kept.state.id), "1")
    for _ in range(2):  # the last call found the end of the states
        reconciler.prune()
    kept.lock()


def test_the_history_of_a_locked_state_is_measured_too(kept: Kept, settings: Settings) -> None:
    kept.write(3)
    kept.lock()
    with kept.here.itself.reading() as tx:
        looked = retention.look(tx.db, replace(numbers_of(1), max_bytes=5))

    assert (looked.surplus, looked.sizes) == ([], [Size(kept.state.id, 6)])


def test_removed_versions_open_no_more(kept: Kept) -> None:
    kept.write(2)
    kept.prune(numbers_of(1))

    with kept.here.itself.reading() as tx:
        row = states.version(tx.db, kept.state, 1)

    assert (row.sealed, row.wrapped_key) == (None, b"")
    assert row.removed_because == "retention"


def _blob_of(blobs: Blobs, age: float) -> tuple[str, Path]:
    """A sealed body on the disk, written so many seconds ago."""
    with blobs.writer() as writer:
        writer.write(b"sealed")
        name = writer.commit()
    path = blobs.path(name)
    os.utime(path, (time.time() - age, time.time() - age))
    return name, path


def test_the_file_of_a_removed_version_stays_for_a_day_for_backups(kept: Kept) -> None:
    here = kept.here
    name, path = _blob_of(here.blobs, age=30 * 86_400.0)
    kept.write(1, blob=name)
    kept.write(1)
    reconciler = Reconciler(here)
    kept.prune(numbers_of(1))

    reconciler.sweep()
    assert path.exists()
    with here.itself.transaction() as tx:
        removed = StateVersion.removed_at.is_not(None)
        long_ago = now(-timedelta(hours=25))
        tx.db.execute(update(StateVersion).where(removed).values(removed_at=long_ago))
    reconciler.sweep()
    assert path.exists()  # no row names it any more: that was noted, for another day
    os.utime(path, (1, 1))
    reconciler.sweep()

    assert not path.exists()
