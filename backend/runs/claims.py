"""Runs as workers take them: claimed under an epoch, kept by a lease, taken away when it ends."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend import audit
from backend.db import now
from backend.models import (
    ACTIVE,
    DEFAULT_QUEUE,
    HARMLESS,
    PLANNED,
    Canary,
    Project,
    Run,
    Workspace,
    of_claim,
)
from backend.principal import PIN_HOSTS, REPORT, Principal
from backend.runs import tool_needs, turns, windows
from backend.runs.moves import Moved, move
from backend.runs.tool_needs import Need
from backend.states import locks, refusals, rescued, states, versions
from backend.transactions import Transaction

MAX_ATTEMPTS = 3


def claimable(
    db: Session,
    limit: int,
    queues: Collection[str] = (DEFAULT_QUEUE,),
    most_at_work: int = 0,
    lacking: Collection[Need] = (),
) -> Sequence[str]:
    """The runs that a worker of these queues may take now, those that come first first.

    It lacks some tools, and takes no run that needs one of them.

    Approved plans come before runs that will change something, and those before runs that only
    plan: many plans never hold up one apply.
    """
    return db.scalars(
        select(Run.id)
        .where(turns.takeable(queues, most_at_work), ~turns.shared_backend_is_busy())
        .where(~tool_needs.is_one_of(lacking))
        .order_by(turns.rank(), Run.priority.desc(), Run.created_at, Run.id)
        .limit(limit)
    ).all()


def claim(
    tx: Transaction,
    run_id: str,
    worker: str,
    lease: timedelta,
    queues: Collection[str] = (DEFAULT_QUEUE,),
) -> Run | None:
    """Take a run for a worker under a new epoch; None when it is not there to be taken.

    It is queued, or its plan is approved. For Stateroom itself.
    """
    tx.principal.require_installation()
    db, most_at_work = tx.db, tx.settings.max_runs
    if not windows.is_open(db, run_id):
        return None
    _take_turns(db, run_id, most_at_work)
    taking = (
        update(Run)
        .where(Run.id == run_id, turns.takeable(queues, most_at_work))
        .values(
            status="preparing",
            blocking=Run.operation.not_in(HARMLESS),
            epoch=Run.epoch + 1,
            attempts=Run.attempts + 1,
            worker=worker,
            lease_expires_at=now(lease),
            started_at=func.coalesce(Run.started_at, now()),
            own_backend=select(Workspace.own_backend)
            .where(Workspace.id == Run.workspace_id)
            .scalar_subquery(),
        )
        .execution_options(synchronize_session=False)
    )
    try:
        with db.begin_nested():
            taken = db.execute(taking).rowcount  # type: ignore[attr-defined]
    except IntegrityError:  # another run of the workspace, or one that shares its backend, has it
        return None
    if taken == 0:
        return None
    run = db.get_one(Run, run_id, populate_existing=True)
    audit.record(
        tx, "run.preparing", run.id, project_id=run.project_id,
        worker=worker, epoch=run.epoch,
    )  # fmt: skip
    tx.log(
        "run_claimed", run=run.id, project=run.project_id, workspace=run.workspace_id,
        operation=run.operation, worker=worker, epoch=run.epoch,
    )  # fmt: skip
    return run


def process_name(pid: int) -> str:
    """How the name of a worker in this process of this machine begins."""
    return f"{socket.gethostname()}:{pid}"


def claimed_by(db: Session, process: str) -> Sequence[Run]:
    """The runs at work in a process, by its `process_name`."""
    begins = Run.worker.startswith(f"{process}:", autoescape=True)
    return db.scalars(select(Run).where(Run.status.in_(ACTIVE), begins).order_by(Run.id)).all()


def _take_turns(db: Session, run_id: str, most_at_work: int) -> None:
    """Where there is a limit, claims are made one after the other, so that none exceeds it."""
    if most_at_work:
        db.execute(select(Canary.id).with_for_update())
    limited = select(Run.project_id).where(Run.id == run_id).scalar_subquery()
    db.execute(
        select(Project.id)
        .where(Project.id == limited, Project.max_runs.is_not(None))
        .with_for_update()
    )


def itself(run: Run) -> Principal:
    """A claimed run as a principal: it works with its own row and its own state, until the end."""
    return Principal(
        name=f"run {run.id}",
        token_id="",
        scopes=frozenset({REPORT, PIN_HOSTS, "state:read", "state:write"}),
        project_id=run.project_id,
        run_id=run.id,
        run_epoch=run.epoch,
    )


def renew(tx: Transaction, lease: timedelta) -> tuple[bool, bool] | None:
    """Prolong the lease of a claimed run. Whether to stop, and whether at once; None: fenced."""
    row = tx.db.execute(
        update(Run)
        .where(_own(tx))
        .values(lease_expires_at=now(lease))
        .returning(Run.cancel_requested_at, Run.force_cancel)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return None if row is None else (row[0] is not None, row[1])


def heard(db: Session, run_id: str, epoch: int) -> tuple[bool, bool] | None:
    """Whether the run of this epoch should stop, and whether at once; None when fenced."""
    row = db.execute(
        select(Run.cancel_requested_at, Run.force_cancel).where(of_claim(run_id, epoch))
    ).one_or_none()
    return None if row is None else (row[0] is not None, row[1])


def at_work(db: Session, run_id: str, epoch: int) -> bool:
    return heard(db, run_id, epoch) is not None


def own(tx: Transaction) -> Run:
    """The row of the run that asks, for as long as its claim holds. Raises Moved."""
    run = tx.db.scalars(select(Run).where(_own(tx))).one_or_none()
    if run is None:
        raise taken_away(tx)
    return run


def taken_away(tx: Transaction) -> Moved:
    return Moved(f"The run {tx.principal.run_id} was taken from this worker.")


def _own(tx: Transaction) -> ColumnElement[bool]:
    tx.require(REPORT, tx.principal.project_id)
    return of_claim(tx.principal.run_id or "", tx.principal.run_epoch)


def note(tx: Transaction, **facts: Any) -> None:
    """Write facts into the row of the run that tells them. Raises Moved."""
    noted = tx.db.execute(
        update(Run).where(_own(tx)).values(facts).execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    if noted == 0:
        raise taken_away(tx)


def give_back(tx: Transaction, code: str, message: str) -> None:
    """Queue the run that asks again, after a fault that may pass: a few times.

    One with an approved plan waits for a worker again. One that is applying ends with the fault:
    an apply is never started twice. Raises Moved.
    """
    run = own(tx)
    if run.status != "applying" and _again(tx, run):
        return
    if run.status != "applying":
        message = f"{message} It was tried {run.attempts} times."
    move(tx, run, "errored", error_code=code, error_message=message)


def give_way(tx: Transaction) -> bool:
    """Let the run that asks wait for a lock that somebody took before its tool could.

    False, and nothing is done, for one that is applying, that has its state elsewhere, or whose
    state takes no lock at all (a quota, a freeze). Raises Moved.
    """
    run = own(tx)
    waits = run.status != "applying" and run.workspace.own_backend is None
    if not waits or run.operation in HARMLESS or run.cancel_requested_at is not None:
        return False
    if refusals.of(tx.db, states.of_workspace(tx.db, run.workspace)) is not None:
        return False
    run.attempts -= 1  # it was not the run's fault
    tx.db.flush()
    return _again(tx, run)


def _again(tx: Transaction, run: Run) -> bool:
    """End this claim of a run that has not begun to apply; False when it was tried often enough."""
    fenced: dict[str, Any] = {"epoch": run.epoch + 1, "worker": None, "lease_expires_at": None}
    if run.cancel_requested_at is not None:
        move(tx, run, "canceled", **fenced)
    elif run.attempts < MAX_ATTEMPTS:
        move(tx, run, "queued" if run.approved_at is None else PLANNED, **fenced)
        tx.ring(run.id, run.queue)
    else:
        return False
    return True


def expire_leases(tx: Transaction) -> list[str]:
    """Take runs from workers that are silent; the ids of those that are queued again.

    A run that never began to apply is queued again (a few times); one that did is lost: an apply
    is never started twice. For Stateroom itself.
    """
    tx.principal.require_installation()
    db = tx.db
    silent = db.scalars(
        select(Run)
        .where(Run.status.in_(ACTIVE), Run.lease_expires_at < now())
        .order_by(Run.id)  # reconcilers that meet wait for each other, and never in a circle
    ).all()
    again = []
    for run in silent:
        try:
            with db.begin_nested():
                _take_away(tx, run)
        except Moved:
            continue  # it was renewed, or another reconciler was first
        if run.status in ("queued", PLANNED):
            again.append(run.id)
    return again


def end_waits(tx: Transaction) -> list[str]:
    """End runs that have waited too long for a lock that is no run's; their ids.

    For Stateroom itself.
    """
    tx.principal.require_installation()
    patience = timedelta(seconds=tx.settings.lock_wait_seconds)
    late = tx.db.scalars(select(Run).where(turns.locked_for_long(patience)).order_by(Run.id)).all()
    ended = []
    for run in late:
        held = locks.of_state(tx.db, states.of_workspace(tx.db, run.workspace))
        with contextlib.suppress(Moved), tx.db.begin_nested():  # another process was first
            move(
                tx, run, "errored", error_code="state-locked",
                error_message=f"It waited longer than {tx.settings.lock_wait_seconds:g} seconds "
                f"for the lock of {held.held_by}, held since {held.acquired_at:%Y-%m-%d %H:%M} "
                f"UTC. Nothing was changed. See `stateroom locks list`, and queue it again.",
            )  # fmt: skip
            ended.append(run.id)
    return ended


def _take_away(tx: Transaction, run: Run) -> None:
    if run.status != "applying" and _again(tx, run):
        return
    status = "errored"
    message = f"Its worker fell silent {run.attempts} times before the apply; queue it again."
    if run.status == "applying":
        status, message = "lost", _lost(tx.db, run)
    move(
        tx, run, status, epoch=run.epoch + 1, worker=None, lease_expires_at=None,
        error_code="worker-lost", error_message=message,
    )  # fmt: skip


def _lost(db: Session, run: Run) -> str:
    """How far it may have come, and what to do."""
    state = states.of_workspace(db, run.workspace)
    if run.operation == "import-state":
        was = "imported a state"
        known = f"The state here is at version {state.current}: import-state may be queued again."
    elif run.operation == "export-state" and state.archived_at is not None:
        was, known = "exported the state", f"It had been moved to {state.archived_to} by then."
    elif run.operation == "export-state":
        was = "exported the state"
        known = (
            "The state here is still the one in use, and a copy of it may be at its target: "
            "export-state may be queued again, and goes on with that copy."
        )
    else:
        was, known = "applied", _saved(db, run)
    kept = [write.id for write in rescued.find_of_runs(db, state) if write.run_id == run.id]
    if kept:
        known = f"{known} {rescued.late(*kept)}"
    return (
        f"The worker {run.worker} fell silent while it {was}. {known} Look at it, and acknowledge "
        "this run to free its workspace."
    )


def _saved(db: Session, run: Run) -> str:
    written = versions.written_by(db, run)
    last = f"It stored version {max(written)} of the state" if written else "It stored no state"
    return f"{last}: compare that with what really exists."
