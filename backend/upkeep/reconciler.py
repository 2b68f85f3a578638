"""The duties that expire leases, prune old versions and sweep (delete) leftovers.

A lease is the time for which a worker keeps a run without sending a heartbeat. Any number of
processes may have these duties.
"""

from __future__ import annotations

import math
import time
from datetime import timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.db import now
from backend.errors import Unavailable
from backend.models import IdempotencyKey, RescuedWrite, StateVersion, Token
from backend.people import throttles
from backend.runs import approvals, claims
from backend.states import retention
from backend.states.retention import Policy, Size
from backend.transactions import Installation

KEPT_FOR = timedelta(days=1)
SWEEP_EVERY_SECONDS = 3600.0
FORGET_ATTEMPTS_EVERY_SECONDS = 60.0
LOOK_AT_STATES_EVERY_SECONDS = 60.0
LOOK_AT_PLANS_EVERY_SECONDS = 5.0
END_WAITS_EVERY_SECONDS = 5.0
PLANS_AT_ONCE = 20
PRUNED_AT_ONCE = 10  # transactions of one call, because leases expire in the same thread
ORPHAN_SECONDS = 24 * 3600.0

log = structlog.get_logger()


class Reconciler:
    """Each method does a little work, and returns the seconds until it is due again."""

    def __init__(self, here: Installation) -> None:
        self._here = here
        self._poll = here.settings.poll_seconds
        self._policy = Policy.of(here.settings)
        self._looked_at = ""  # the last state
        self._looked_at_plan = ""  # its run
        self._lease = here.settings.lease_seconds
        self._answered = -math.inf  # when the database did so for the last time
        self._expires_from = math.inf

    def expire_leases(self) -> float:
        """Take runs from silent workers, and tell the workers about those that are queued again.

        While the database is away, or its disk is full, no worker can renew a lease, however well
        it is. So when this process could not use it for a while, or has just started, the workers
        get one lease.
        """
        moment = _moment()
        try:
            with self._here.itself.transaction() as tx:
                tx.db.execute(select(now()))  # before a decision: does it answer?
                again = claims.expire_leases(tx) if self._may_expire(moment) else []
        except Unavailable:
            self._answered = -math.inf
            raise
        self._answered = moment
        for run_id in again:
            log.warning("run_queued_again", run=run_id)
        return self._poll

    def _may_expire(self, moment: float) -> bool:
        """Whether the workers could have renewed their leases."""
        if moment - self._answered > max(self._lease / 2, 4 * self._poll):
            log.info("leases_prolonged", seconds=self._lease)
            self._expires_from = moment + self._lease
        return moment >= self._expires_from

    def end_waits(self) -> float:
        """End runs that have waited too long for a lock."""
        with self._here.itself.transaction() as tx:
            ended = claims.end_waits(tx)
        for run_id in ended:
            log.warning("run_waited_too_long", run=run_id)
        return max(self._poll, END_WAITS_EVERY_SECONDS)

    def look_at_plans(self) -> float:
        """End the next few planned runs that cannot be applied any more, or waited too long."""
        with self._here.itself.transaction() as tx:
            self._looked_at_plan = approvals.look_at_planned(
                tx, self._looked_at_plan, PLANS_AT_ONCE
            )
        return self._poll if self._looked_at_plan else max(self._poll, LOOK_AT_PLANS_EVERY_SECONDS)

    def prune(self) -> float:
        """Remove the versions of the next few states that are beyond their retention.

        Of a state that has too much history all the same, that is noted.
        """
        with self._here.itself.reading() as tx:
            looked = retention.look(tx.db, self._policy, self._looked_at)
        for size in looked.sizes:
            self._note(size)
        found = looked.surplus
        for surplus in found[:PRUNED_AT_ONCE]:
            with self._here.itself.transaction() as tx:
                pruned = retention.prune(tx, surplus)
            log.info("versions_pruned", state=surplus.state_id, count=pruned)
        if len(found) > PRUNED_AT_ONCE or any(surplus.is_batch for surplus in found):
            return self._poll  # the same states have more
        self._looked_at = looked.last
        return self._poll if looked.last else LOOK_AT_STATES_EVERY_SECONDS

    def _note(self, size: Size) -> None:
        with self._here.itself.transaction() as tx:
            retention.note_size(tx, size)
        if size.history_bytes is None:
            log.info("history_fits_again", state=size.state_id)
        else:
            log.warning("history_full", state=size.state_id, bytes=size.history_bytes)

    def forget_attempts(self) -> float:
        """Remove the counters of attempts at passwords that no longer limit anything."""
        with self._here.database.transaction() as db:
            throttles.forget_old(db)
        return FORGET_ATTEMPTS_EVERY_SECONDS

    def sweep(self) -> float:
        """Remove expired rows, and files that no row refers to."""
        with self._here.database.transaction() as db:
            retention.forget_files(db)
            db.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now(-KEPT_FOR)))
            db.execute(delete(Token).where(Token.run_id.is_not(None), Token.expires_at < now()))
        self._here.blobs.sweep(self._referenced, ORPHAN_SECONDS)
        return SWEEP_EVERY_SECONDS

    def _referenced(self, names: list[str]) -> set[str]:
        with self._here.database.reading() as db:
            return referenced_blobs(db, names)


def _moment() -> float:
    """Seconds, on a clock that goes on while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def referenced_blobs(db: Session, names: list[str]) -> set[str]:
    """Those of these blob names that a row refers to."""
    found: set[str] = set()
    for table in (StateVersion, RescuedWrite):
        blob = table.blob
        found.update(name for name in db.scalars(select(blob).where(blob.in_(names))) if name)
    return found
