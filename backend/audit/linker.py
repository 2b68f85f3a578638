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
LATE = timedelta(hours=1)
LATE_EVERY_SECONDS = 15.0
ALL_EVERY_SECONDS = 3600.0
PAGE = 1000  # entries that a patrol looks at in one call
TRIES = 20

log = structlog.get_logger()


class Patrol:
    """A repeated walk through the entries, a page in each tick, that finds what has no link.

    An entry may be committed long after its time, and the linker may be kept from its work for
    longer than RECENT: while another program locks the database, or while the machine sleeps.
    `back` is how far before the last complete walk it begins; None means at the first entry.
    """

    def __init__(self, every: float, back: timedelta | None = None, first_in: float = 0.0) -> None:
        self._every, self._back = every, back  # `every` is the seconds from a walk to the next
        self._due = time.monotonic() + first_in
        self._last = time.monotonic()  # when the last complete walk began
        self._began: float | None = None  # when the present walk began
        self._at: str | None = ""

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due

    def look(self, db: Session) -> chain.Patrol:
        """The next page."""
        if self._began is None:
            self._began, self._at = time.monotonic(), self._start(db)
        return chain.Patrol([], None) if self._at is None else chain.patrol(db, self._at, PAGE)

    def go_on(self, next_after: str | None) -> bool:
        """Go to the next page. Returns whether the walk is over."""
        self._at = next_after
        if next_after is None:
            self._last, self._began = self._began or self._last, None
            self._due = time.monotonic() + self._every
        return next_after is None

    def _start(self, db: Session) -> str | None:
        if self._back is None:
            return ""
        since_last = timedelta(seconds=time.monotonic() - self._last)
        return chain.before_recent(db, self._back + since_last)


class Linker:
    """Links entries. Several server processes may do so at the same time.

    What it misses, two patrols find: one walks through the last hour every few seconds, one through
    all entries at the start and every hour.
    """

    def __init__(
        self,
        here: Installation,
        recent: timedelta = RECENT,
        late_every: float = LATE_EVERY_SECONDS,
    ) -> None:
        self._database, self._keyring = here.database, here.keyring
        self._recent = recent
        self._key = b""
        self._known = NOTHING
        self._late = Patrol(every=late_every, back=LATE, first_in=late_every)
        self._all = Patrol(every=ALL_EVERY_SECONDS)

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
            waiting = chain.has_unlinked(db, self._recent)
        if not whole:  # warn before they are made again, which would hide that they were deleted
            log.error("audit_chain_was_cut", known=str(self._known), found=str(newest))
        self._known = newest
        total = self._link_recent() if waiting else 0
        return total + self._patrol(self._late) + self._patrol(self._all)

    def _link_recent(self) -> int:
        total, count = 0, BATCH
        while count == BATCH:
            count = self._do(lambda db: chain.link_recent(db, self._key, self._recent))
            total += count
        return total

    def _patrol(self, patrol: Patrol) -> int:
        """Link what the next page of a patrol finds, if it is due."""
        if not patrol.is_due:
            return 0
        with self._database.reading() as db:
            found = patrol.look(db)
        total = 0
        late = [entry.id for entry in found.unlinked]
        for start in range(0, len(late), BATCH):
            page = late[start : start + BATCH]
            total += self._do(lambda db, page=page: chain.link_page(db, self._key, page))  # type: ignore[misc]
        # otherwise another process is linking: look at the page again
        if total == len(late) and patrol.go_on(found.next_after) and patrol is self._all:
            # so that the head is also stored where the logs are collected
            log.info("audit_head", head=str(self._known))
        return total

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
