"""Links new entries of the audit log into its chain, soon after their commit."""

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
RECENT = timedelta(seconds=30)  # longer than a write takes from its entry to its commit
PATROL_EVERY_SECONDS = 3600.0
PAGE = 1000  # entries that one tick of a patrol looks at
TRIES = 20

log = structlog.get_logger()


class Linker:
    """A duty of the server's processes; any number of them may have it.

    What was committed late is found by a patrol over all entries, at the start and each hour.
    """

    def __init__(self, here: Installation) -> None:
        self._database, self._keyring = here.database, here.keyring
        self._key = b""
        self._known = NOTHING
        self._patrolled_to = ""
        self._patrol_due = 0.0

    def __call__(self) -> float:
        """Link, and return the seconds until it is worth to look again."""
        try:
            self.tick()
        except IntegrityError:  # another process linked at the same time: its links stand
            log.debug("linking_overtaken")
        return TICK_SECONDS

    def tick(self) -> int:
        """Link what is new, and look at a page of what is old: how many were linked."""
        with self._database.reading() as db:
            self._key = self._key or chain.key(db, self._keyring)
            whole = chain.holds(db, self._known)
            newest = chain.head(db)
        if not whole:  # links were deleted; they are made again, and would not be missed
            log.error("audit_chain_was_cut", known=str(self._known), found=str(newest))
        self._known = newest
        return self._link_recent() + self._patrol()

    def _link_recent(self) -> int:
        total = 0
        while self._has_unlinked():
            count = self._do(lambda db: chain.link_recent(db, self._key, RECENT))
            total += count
            if count < BATCH:
                break
        return total

    def _has_unlinked(self) -> bool:
        with self._database.reading() as db:
            return chain.has_unlinked(db, RECENT)

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
        if total == len(late):  # else another is linking: look again
            self._go_on(found.next_after)
        return total

    def _go_on(self, next_after: str | None) -> None:
        self._patrolled_to = next_after or ""
        if next_after is None:
            self._patrol_due = time.monotonic() + PATROL_EVERY_SECONDS
            # whoever collects the logs has the head noted elsewhere
            log.info("audit_head", head=str(self._known))

    def _do(self, link: Callable[[Session], Linked]) -> int:
        with self._database.transaction() as db:
            done = link(db)
        if done.count:
            self._known = done.head
        return done.count


def catch_up(here: Installation) -> None:
    """Link all recent entries now, so that a reader of the chain finds them in it."""
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
            time.sleep(0.05)  # another process is at it
