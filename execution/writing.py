"""Write what happens in one claimed run into its rows, and keep its lease.

Each write checks the epoch (the number of the claim): a worker that lost the run is fenced, which
means that all its further writes are refused.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from backend.errors import Unavailable
from backend.models import Run
from backend.runs import claims, logs, moves
from backend.transactions import Caller, Installation, Transaction
from execution.happened import Happened
from execution.log_text import LogText
from runner.errors import Fenced
from runner.events import StopLevel

log = structlog.get_logger()

FLUSH_BYTES = 32 * 1024
FLUSH_SECONDS = 0.3
RETRY_SECONDS = 1.0  # between attempts while the database or the disk is not available
LATE = b"\n... The run was lost. What follows was said later, or was not heard in time. ...\n"
LOOK_SECONDS = 1.0
RENEW_AFTER = 0.2  # the part of the lease after which it is renewed

Told = TypeVar("Told")


class Writing:
    """The rows of one claim, and its lease. Another thread calls `pulse`.

    Events that only inform, and the moves before `applying`, are written with the next pulse, or
    with the next move that has to be in the database before the run goes on. A transaction for
    each event would take longer than a small run.
    """

    def __init__(self, here: Installation, run: Run) -> None:
        self._here, self.run_id, self.epoch = here, run.id, run.epoch
        self._itself = Caller(here, claims.itself(run))
        self._lease = timedelta(seconds=here.settings.lease_seconds)
        self._lease_ends = time.monotonic() + self._lease.total_seconds()
        self._level = StopLevel.GO_ON
        self._is_interrupted = self._is_canceled = False
        self.fenced = False
        self._next_look = 0.0
        self._renew_at = 0.0
        self._happened = Happened()
        self._text = LogText()
        self._is_late = False
        self._writing = threading.Lock()
        self._flushed_at = time.monotonic()

    def output(self, text: bytes) -> None:
        with self._writing:
            self._text.add(text)
            full = len(self._text.ready) >= FLUSH_BYTES
        if full or time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            self.flush()

    def stop(self) -> StopLevel:
        if time.monotonic() > self._lease_ends:
            self.fenced = True  # the lease was not renewed: another worker may have the run
        return max(self._level, StopLevel.INTERRUPT) if self.fenced else self._level

    def interrupt(self) -> None:
        """Let the tool save its state and end, because the worker is about to stop."""
        self._is_interrupted = True
        self._level = max(self._level, StopLevel.INTERRUPT)

    @property
    def is_stopped_by_its_worker(self) -> bool:
        """Whether nobody asked to cancel the run."""
        return self._is_interrupted and not self._is_canceled

    def lease_is_ending(self) -> bool:
        return time.monotonic() > self._lease_ends - self._lease.total_seconds() / 2

    def hold_on(self) -> None:
        """Go on for another lease: nobody can take the run, because nobody can write."""
        self._lease_ends = time.monotonic() + self._lease.total_seconds()

    def pulse(self) -> None:
        """Write the collected events, renew the lease, and find out whether to stop the run."""
        self.flush()
        moment = time.monotonic()
        if moment < self._next_look or self.fenced:
            return
        self._next_look = moment + LOOK_SECONDS
        heard = self._renewed(moment) if moment > self._renew_at else self._look()
        if heard is None:
            self.fenced = True
            return
        cancel, force = heard
        if cancel:
            self._is_canceled = True
            self._level = StopLevel.KILL if force else StopLevel.INTERRUPT

    def flush(self) -> None:
        """Write collected events and log into the database. What fails is written later."""
        with self._writing:
            if not self._happened and not self._text.ready:
                return
            try:
                with self._fencing(), self._itself.transaction() as tx:
                    self._bring(tx)
            except Unavailable as error:
                log.warning("log_waits", run=self.run_id, reason=error.message)
                return
            except Fenced:  # `stop` reports it
                self._say_late()
            except Exception as fault:  # noqa: BLE001 no log is worth the end of an apply
                log.error("log_waits", run=self.run_id, reason=f"{type(fault).__name__}: {fault}")
                return
            self._forget()

    def _tell(self, tell: Callable[..., None], *what: Any, **values: Any) -> None:
        if self.fenced:
            raise Fenced("fenced", f"The run {self.run_id} was taken from this worker.")
        with self._writing:
            tell(*what, **values)

    def _bring(self, tx: Transaction) -> None:
        self._happened.write(tx)
        if self._text.ready:
            logs.append(tx, bytes(self._text.ready), self._text.marks)

    def _end_log(self) -> None:
        with self._writing:
            self._text.end()

    def _say_late(self) -> None:
        """What the tool said while its worker was silent tells how far a lost run came."""
        if not self._text.ready:
            return
        said, self._is_late = (b"" if self._is_late else LATE) + self._text.ready, True
        try:
            with self._itself.transaction() as tx:
                logs.append_late(tx, said)
        except Unavailable as error:
            log.warning("log_lost", run=self.run_id, reason=error.message)

    def _forget(self) -> None:
        self._happened.forget()
        self._text.clear()
        self._flushed_at = time.monotonic()

    def _renewed(self, moment: float) -> tuple[bool, bool] | None:
        try:
            return self._renew(moment)
        except Unavailable:  # maybe it can still be read: then its disk is full, or it is locked
            heard = self._look()
            self.hold_on()
            return heard

    def _renew(self, moment: float) -> tuple[bool, bool] | None:
        with self._itself.transaction() as tx:
            heard = claims.renew(tx, self._lease)
        if heard is not None:
            self._lease_ends = moment + self._lease.total_seconds()
            self._renew_at = moment + self._lease.total_seconds() * RENEW_AFTER
        return heard

    def _look(self) -> tuple[bool, bool] | None:
        with self._itself.reading() as tx:
            return claims.heard(tx.db, self.run_id, self.epoch)

    def _move(self, status: str, **values: Any) -> None:
        def move(tx: Transaction) -> None:
            run = claims.own(tx)
            if run.status != status:  # it is equal if the answer to an earlier commit was lost
                moves.move(tx, run, status, **values)

        self._write(move)

    def _write(self, work: Callable[[Transaction], Told]) -> Told:
        """Do it after the collected events, and repeat it while the database is away."""

        def attempt() -> Told:
            with self._writing:
                with self._fencing(), self._itself.transaction() as tx:
                    self._bring(tx)
                    done = work(tx)
                self._forget()
                return done

        return self._patiently(attempt)

    def _patiently(self, attempt: Callable[[], Told]) -> Told:
        """Repeat it while the database is away. Raises Unavailable when the lease has ended."""
        while True:
            try:
                return attempt()
            except Unavailable as error:
                if time.monotonic() > self._lease_ends:
                    raise
                log.warning("database_awaited", run=self.run_id, reason=error.message)
                time.sleep(RETRY_SECONDS)

    @contextmanager
    def _fencing(self) -> Iterator[None]:
        try:
            yield
        except moves.Moved as moved:
            self.fenced = True
            raise Fenced("fenced", str(moved)) from None
