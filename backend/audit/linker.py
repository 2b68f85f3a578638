"""The duty that links new entries of the audit log into its chain, soon after their commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.audit import chain
from backend.audit.chain import BATCH, NOTHING, Linked
from backend.transactions import Installation

TICK_SECONDS = 0.5
RECENT = timedelta(seconds=30)  # longer than almost any transaction takes
PATROL_EVERY_SECONDS = 3600.0
PAGE = 1000  # entries that the patrol looks at in one call
TRIES = 20

log = structlog.get_logger()


class Linker:
    """Links entries. Several server processes may do so at the same time.

    Entries that were committed late are found by a patrol: it goes through all entries at the start
    and every hour.
    """

    def __init__(self, here: Installation) -> None:
        self._database, self._keyring = here.database, here.keyring
        self._key = b""
        self._known = NOTHING
        self._patrolled_to = ""
        self._patrol_due = 0.0

    def __call__(self) -> float:
        """Link entries, and return the seconds until the next call."""
        try:
            self.tick()
        except IntegrityError:  # another process linked at the same time, and its links are kept
            log.debug("linking_overtaken")
        return TICK_SECONDS

    def tick(self) -> int:
        """Link the new entries and patrol a page of the old ones. Returns how many were linked."""
        with self._database.reading() as db:
            self._key = self._key or chain.key(db, self._keyring)
            whole = chain.holds(db, self._known)
            newest = chain.head(db)
            waiting = chain.has_unlinked(db, RECENT)
        if not whole:  # warn before they are made again, which would hide that they were deleted
            log.error("audit_chain_was_cut", known=str(self._known), found=str(newest))
        self._known = newest
        return (self._link_recent() if waiting else 0) + self._patrol()

    def _link_recent(self) -> int:
        total, count = 0, BATCH
        while count == BATCH:
            count = self._do(lambda db: chain.link_recent(db, self._key, RECENT))
            total += count
        return total

    def _patrol(self) -> int:
        if time.monotonic() < self._patrol_due:
            return 0
        with self._database.reading() as db:
            found = chain.patrol(db, self._patrolled_to, PAGE)
        total = 0
        late = [entry.id for entry in found.unlinked]
        for start in range(0, len(late), BATCH):
            page = late[start : start + BATCH]
            total += self._do(lambda db, page=page: chain.link_page(db, self._key, page))  # type: ignore[misc]
        if total == len(late):  # otherwise another process is linking: look at the page again
            self._go_on(found.next_after)
        return total

    def _go_on(self, next_after: str | None) -> None:
        self._patrolled_to = next_after or ""
        if next_after is None:
            self._patrol_due = time.monotonic() + PATROL_EVERY_SECONDS
            # so that the head is also stored where the logs are collected
            log.info("audit_head", head=str(self._known))

    def _do(self, link: Callable[[Session], Linked]) -> int:
        with self._database.transaction() as db:
            done = link(db)
        if done.count:
            self._known = done.head
        return done.count


def catch_up(here: Installation) -> None:
    """Link all recent entries now, so that a reader of the chain finds them."""
    database = here.database
    with database.reading() as db:
        signing_key = chain.key(db, here.keyring)
    for _ in range(TRIES):
        with database.reading() as db:
            if not chain.has_unlinked(db, RECENT):
                return
        with database.transaction() as db:
            done = chain.link_recent(db, signing_key, RECENT)
        if done.count == 0:
            time.sleep(0.05)  # another process is linking
