"""In every process, any number of them: takes runs from silent workers, prunes, and sweeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.broker import Bell
from backend.config import Settings
from backend.db import Database, now
from backend.errors import Error
from backend.models import IdempotencyKey, RescuedWrite, StateVersion, Token
from backend.runs import claims
from backend.sealing.blobs import Blobs
from backend.states import retention
from backend.states.retention import Policy

KEPT_FOR = timedelta(days=1)
SWEEP_EVERY = timedelta(hours=1)
LOOK_AT_STATES_EVERY = timedelta(minutes=1)
PRUNED_AT_ONCE = 10  # transactions in a tick: leases expire in the same thread
ORPHAN_SECONDS = 24 * 3600.0

log = structlog.get_logger()


class Reconciler:
    """A thread that ticks. A tick that fails is logged, and the next one tries again."""

    def __init__(self, database: Database, bell: Bell, blobs: Blobs, settings: Settings) -> None:
        self._database, self._bell, self._blobs = database, bell, blobs
        self._seconds = settings.poll_seconds
        self._policy = Policy(settings.keep_versions, settings.keep_days)
        self._looked_at = ""  # the last state
        self._rest = 0.0  # seconds until the first one again
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tick_until_stopped, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def tick(self) -> None:
        """Expire leases, and ring for the runs that are queued again."""
        with self._database.transaction() as db:
            again = claims.expire_leases(db)
        for run_id in again:
            log.warning("run_queued_again", run=run_id)
            self._bell.ring(run_id)

    def prune(self) -> None:
        """Go on with the next few states: remove what is beyond their retention."""
        self._rest -= self._seconds
        if self._rest > 0:
            return
        with self._database.reading() as db:
            found, last = retention.find_surplus(db, self._policy, self._looked_at)
        for surplus in found[:PRUNED_AT_ONCE]:
            with self._database.transaction() as db:
                pruned = retention.prune(db, surplus)
            log.info("versions_pruned", state=surplus.state_id, count=pruned)
        if len(found) > PRUNED_AT_ONCE or any(surplus.is_batch for surplus in found):
            return  # there is more of the same ones
        self._looked_at = last
        self._rest = 0.0 if last else LOOK_AT_STATES_EVERY.total_seconds()

    def sweep(self) -> None:
        """Remove what nobody asks for any more: rows past their time, files without a row."""
        with self._database.transaction() as db:
            retention.forget_files(db)
            db.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now(-KEPT_FOR)))
            db.execute(delete(Token).where(Token.run_id.is_not(None), Token.expires_at < now()))
        self._blobs.sweep(self._referenced, ORPHAN_SECONDS)

    def _referenced(self, names: list[str]) -> set[str]:
        with self._database.reading() as db:
            return referenced_blobs(db, names)

    def _tick_until_stopped(self) -> None:
        sweep_in = 0.0
        while not self._stopped.wait(self._seconds):
            self._attempt(self.tick)
            self._attempt(self.prune)
            sweep_in -= self._seconds
            if sweep_in <= 0:
                self._attempt(self.sweep)
                sweep_in = SWEEP_EVERY.total_seconds()

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (Error, OSError) as error:
            log.warning("reconciler_failed", work=work.__name__, reason=str(error))
        except Exception as bug:  # a thread that ends takes no run from a silent worker any more
            log.exception("reconciler_crashed", work=work.__name__, exc_info=bug)


def referenced_blobs(db: Session, names: list[str]) -> set[str]:
    """Those of these blob names that a row points at."""
    found: set[str] = set()
    for table in (StateVersion, RescuedWrite):
        blob = table.blob
        found.update(name for name in db.scalars(select(blob).where(blob.in_(names))) if name)
    return found
