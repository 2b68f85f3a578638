"""Rotate the keyring: change the current key, and wrap all data keys again with it (re-wrap).

This goes on while servers and workers run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import Database, now
from backend.errors import Conflict
from backend.models import Canary
from backend.sealing import keyring_file
from backend.sealing.keyring import Keyring
from backend.sealing.sealed import PAGE, SHELVES, RowKey, Shelf, Unopened, pages, text_of
from backend.transactions import Caller, Installation, Transaction
from backend.upkeep import installation, reports

AGAIN_SECONDS = 3600.0
LATECOMERS_SECONDS = 120.0  # until then every process uses the new key, and has committed
SHORTEST_PAUSE_SECONDS = 0.005
SETTLED = timedelta(hours=1)  # longer than any process takes to use the new key

log = structlog.get_logger()


def activate(tx: Transaction, key_id: str) -> None:
    """Make a key of the keyring the current key of the installation.

    Running processes use it after their next poll. For people on the machine. Raises Unreadable
    with `unknown-key`.
    """
    tx.principal.require_installation()
    tx.keyring.refresh()
    tx.keyring.seal_with(key_id)
    canary = installation.seal_canary(tx.keyring)
    tx.db.execute(update(Canary).values(sealed=canary, created_at=now()))
    audit.record(tx, "keyring.activate", key_id)


def activated_at(db: Session) -> datetime:
    """The time since which the current key seals."""
    return db.scalars(select(Canary.created_at)).one()


def counts(db: Session) -> dict[str, Counter[str]]:
    """How many objects each key wraps, by key id and table."""
    found: dict[str, Counter[str]] = {}
    for shelf in SHELVES:
        for page in pages(db, shelf):
            for sealed in page:
                found.setdefault(sealed.key_id, Counter())[shelf.name] += 1
    return found


def left(db: Session, keyring: Keyring) -> Counter[str]:
    """How many objects are not yet wrapped with the current key, by table."""
    of_others = (by for key_id, by in counts(db).items() if key_id != keyring.current)
    return sum(of_others, Counter[str]())


def drop(caller: Caller, key_id: str) -> None:
    """Remove a key that nothing needs from the keyring file.

    For people on the machine. Raises Conflict when it is the current key, when something is wrapped
    with it, or when a process may still use it.
    """
    caller.principal.require_installation()
    database, keyring = caller.here.database, caller.here.keyring
    if keyring.path is None:
        raise Conflict("The keyring is in STATEROOM_KEYRING: remove the key there yourself.")
    if key_id not in keyring.keys:
        raise Conflict(f"The keyring has no key {key_id}.", code="unknown-key")
    _refuse_needed(database, keyring, key_id)
    keyring_file.remove(keyring.path, key_id)
    try:
        _refuse_needed(database, keyring, key_id)
        with caller.transaction() as tx:
            audit.record(tx, "keyring.drop", key_id)
    except BaseException:  # also when the check itself failed: keep the key
        keyring_file.put_back(keyring.path, key_id, keyring.keys[key_id])
        raise


def _refuse_needed(database: Database, keyring: Keyring, key_id: str) -> None:
    with database.reading() as db:
        installation.follow_canary(db, keyring)
        if key_id == keyring.current:
            raise Conflict(f"{key_id} is the key that seals. Rotate first.", code="key-seals")
        settled = db.scalar(select(Canary.id).where(Canary.created_at < now(-SETTLED)))
        needed = counts(db).get(key_id)
    if needed:
        said = ", ".join(f"{number} of {table}" for table, number in needed.items())
        raise Conflict(f"{key_id} is needed: it wraps {said}.", code="key-needed", needed=needed)
    if settled is None:
        raise Conflict(
            f"{keyring.current} became the current key less than an hour ago, and a process may "
            f"still use {key_id}. Drop it later.",
            code="key-may-seal",
        )


class Rewrapper:
    """Wraps everything that is sealed again, page by page, round after round until nothing is left.

    Several may work at the same time, and each may be killed at any time.
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database, self._keyring = database, keyring
        self.unopened: dict[tuple[str, str], Unopened] = {}
        self.rewrapped = 0
        self._shelves: list[Shelf] = list(SHELVES)
        self._place: RowKey | None = None
        self._found_some = False

    def step(self) -> bool:
        """Do the next page. Returns False after a whole round without anything to do."""
        if not self._shelves:
            again, self._found_some = self._found_some, False
            self._shelves = list(SHELVES)
            return again
        shelf = self._shelves[0]
        with _unhurried(), self._database.reading() as db:
            installation.follow_canary(db, self._keyring)
            page = shelf.after(db, self._place, PAGE)
        self._place = page[-1].place if len(page) == PAGE else None
        if self._place is None:
            self._shelves.pop(0)
        places = [found.place for found in page if found.key_id != self._keyring.current]
        todo = [p for p in places if (shelf.name, text_of(p)) not in self.unopened]
        for start in range(0, len(todo), shelf.at_once):
            self._rewrap(shelf, todo[start : start + shelf.at_once])
        return True

    def _rewrap(self, shelf: Shelf, places: Sequence[RowKey]) -> None:
        with _unhurried(), self._database.transaction() as db:
            # a process that was suspended during a rotation must not wrap with the old key
            installation.follow_canary(db, self._keyring)
            unopened = shelf.rewrap(db, self._keyring, places)
        for one in unopened:
            log.error("not_rewrapped", table=one.table, id=one.id, reason=one.reason)
            self.unopened[one.table, one.id] = one
        self._found_some = True
        self.rewrapped += len(places) - len(unopened)


@contextmanager
def _unhurried() -> Iterator[None]:
    """Pause for as long as the block took, so that others can use the database."""
    started = time.monotonic()
    yield
    time.sleep(max(time.monotonic() - started, SHORTEST_PAUSE_SECONDS))


class Rotation:
    """The duty that follows the installation's current key, and re-wraps after a rotation.

    Any number of processes may have it.
    """

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._rewrapper: Rewrapper | None = None
        self._done = ""  # the key that everything was wrapped with in the last complete round
        self._again_at = 0.0

    def __call__(self) -> float:
        """Do one more page, and return the seconds until the next call."""
        self.follow()
        if self._rewrapper is None:
            if self._done == self._here.keyring.current and time.monotonic() < self._again_at:
                return self._here.settings.poll_seconds
            self._rewrapper = Rewrapper(self._here.database, self._here.keyring)
        if self._rewrapper.step():
            return 0.0
        self._finish(self._rewrapper)
        return self._here.settings.poll_seconds

    def follow(self) -> float:
        """Use the current key of the installation. Raises Unreadable."""
        with self._here.database.reading() as db:
            installation.follow_canary(db, self._here.keyring)
        return self._here.settings.poll_seconds

    def _finish(self, done: Rewrapper) -> None:
        again = AGAIN_SECONDS
        if done.rewrapped:
            log.info("rewrapped", key=self._here.keyring.current, objects=done.rewrapped)
            again = LATECOMERS_SECONDS
        if not done.unopened:
            with self._here.itself.transaction() as tx:
                reports.note_rewrapped(tx, self._here.keyring.current)
        self._rewrapper = None
        self._done, self._again_at = self._here.keyring.current, time.monotonic() + again
