"""States that a tool could not store: stored by the worker, or kept as rescued writes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import BinaryIO

import structlog
from sqlalchemy import select

from backend.documents.intake import Received, receive
from backend.errors import Conflict, Gone, Invalid, Unavailable
from backend.models import Run, State, new_id
from backend.runs import claims
from backend.states import fencing, locks, rescued, states
from backend.states.locks import LockInfo
from backend.transactions import Caller, Installation, Transaction
from runner.events import Rescue

RETRY_SECONDS = 1.0  # between attempts while the database or the disk is not available

log = structlog.get_logger()


def store(here: Installation, run: Caller, workspace_id: str, document: BinaryIO) -> Rescue:
    """Store a state as the newest version, for its run; if it is refused, keep it.

    It waits for the database, and for space on the server's disk, however long that takes.
    """

    def attempt() -> Rescue:
        taken = _received(here, document)
        try:
            with run.transaction() as tx:
                return Rescue(version=_write(tx, _state(tx, workspace_id), taken))
        except (Conflict, Gone) as refusal:
            return _keep(run, workspace_id, taken, refusal.code)

    return _patiently(run, attempt)


def keep(
    here: Installation, run: Caller, workspace_id: str, document: BinaryIO, reason: str
) -> Rescue:
    """Keep a state as a rescued write of its run. It waits as `store` does."""

    def attempt() -> Rescue:
        return _keep(run, workspace_id, _received(here, document), reason)

    return _patiently(run, attempt)


def keep_leftover(here: Installation, run_id: str, document: BinaryIO) -> None:
    """Keep what the tool of a dead run left, for a person to decide on. Raises Unavailable."""
    with here.itself.reading() as tx:
        run = tx.db.get(Run, run_id)
    if run is None:
        log.warning("leftover_of_no_run", run=run_id)
        return
    itself = Caller(here, claims.itself(run))
    try:
        _keep(itself, run.workspace_id, _received(here, document), "worker-lost")
    except Invalid as useless:
        log.error("unsaved_state_useless", run=run_id, reason=useless.message)


def _patiently(run: Caller, attempt: Callable[[], Rescue]) -> Rescue:
    while True:
        try:
            return attempt()
        except Unavailable as error:
            log.warning("rescue_waits", run=run.principal.run_id, reason=error.message)
            time.sleep(RETRY_SECONDS)
        except (
            Invalid
        ) as useless:  # an empty file, or the beginning of a document: the disk is full
            log.error("unsaved_state_useless", run=run.principal.run_id, reason=useless.message)
            return Rescue(reason="no-state")


def _received(here: Installation, document: BinaryIO) -> Received:
    """Receive the document whatever its size: nothing else records what the tool changed."""
    size = document.seek(0, os.SEEK_END)
    document.seek(0)
    return receive(document, size, here.blobs)


def _write(tx: Transaction, state: State, taken: Received) -> int:
    fencing.fence(tx)  # first, because a later attempt may hold the lock
    lock_id = locks.of_run(tx, state, tx.principal.run_id or "")  # which the tool could not release
    if lock_id is None:
        fields = {"Operation": "OperationTypeApply", "Who": tx.principal.name}
        lock = LockInfo(new_id("rescue"), fields)
        locks.acquire(tx, state, lock)
        lock_id = lock.id
    number = states.write(tx, state, taken, lock_id)
    locks.release(tx, state, lock_id)
    return number


def _keep(run: Caller, workspace_id: str, taken: Received, reason: str) -> Rescue:
    with run.transaction() as tx:
        state = _state(tx, workspace_id)
        newest = states.newest(tx.db, state)
        if newest is not None and newest.sha256 == taken.sha256:
            return Rescue(version=newest.number)  # it arrived, and its answer was lost
        kept = rescued.keep(tx, state, taken, reason)
    run_id, rescued_id = run.principal.run_id, None if kept is None else kept.id
    log.warning("state_rescued", run=run_id, rescued=rescued_id, reason=reason)
    return Rescue(kept=rescued_id, reason=reason if kept else "rescued-writes-full")


def _state(tx: Transaction, workspace_id: str) -> State:
    return tx.db.scalars(select(State).where(State.workspace_id == workspace_id)).one()
