"""The metrics of an installation for Prometheus, computed from its database.

All its servers report the same values. A series disappears with its lock, workspace or worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client.core import (
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from sqlalchemy import BigInteger, ColumnElement, case, func, select, type_coerce
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import (
    ACTIVE,
    ENDED,
    PLANNED,
    Canary,
    Drift,
    Lock,
    Project,
    RescuedWrite,
    Run,
    State,
    Workspace,
)
from backend.runs import workers
from backend.sealing import crypto
from backend.transactions import Transaction
from backend.upkeep import installation

BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)  # seconds
STATUSES = ("queued", *ACTIVE, PLANNED, *ENDED)


def collect(tx: Transaction) -> Iterator[Metric]:
    """All metrics except those of requests, which each server counts. For Stateroom itself."""
    tx.principal.require_installation()
    moment = tx.db.scalars(select(now())).one()

    def age(since: datetime) -> float:
        return max(0.0, (moment - since).total_seconds())

    yield InfoMetricFamily(
        "stateroom", "The version of this server.", {"version": installation.version()}
    )
    yield from _runs(tx.db, age)
    yield _durations(tx.db)
    yield _locks(tx.db, age)
    yield _rescued(tx.db)
    yield _full_histories(tx.db)
    yield _drifted(tx.db)
    yield from _workers(tx.db, age)
    yield from _keys(tx, age)


_Age = Callable[[datetime], float]


def _runs(db: Session, age: _Age) -> Iterator[Metric]:
    counted = Counter(dict(db.execute(select(Run.status, func.count()).group_by(Run.status)).all()))
    runs = GaugeMetricFamily("stateroom_runs", "Runs by their status.", labels=["status"])
    for status in STATUSES:
        runs.add_metric([status], counted[status])
    yield runs
    oldest = db.scalar(select(func.min(Run.created_at)).where(Run.status == "queued"))
    yield GaugeMetricFamily(
        "stateroom_queue_oldest_seconds",
        "How long the oldest queued run has been waiting; 0 when none is.",
        value=0.0 if oldest is None else age(oldest),
    )


def _durations(db: Session) -> Metric:
    took = _milliseconds(Run.finished_at) - _milliseconds(Run.started_at)
    below = [func.sum(case((took <= seconds * 1000, 1), else_=0)) for seconds in BUCKETS]
    found = db.execute(
        select(Run.operation, Run.status, func.count(), func.sum(took), *below)
        .where(Run.started_at.is_not(None), Run.finished_at.is_not(None))
        .group_by(Run.operation, Run.status)
        .order_by(Run.operation, Run.status)
    )
    durations = HistogramMetricFamily(
        "stateroom_run_duration_seconds",
        "Runs that ended, by the time from their first claim to their end.",
        labels=["operation", "status"],
    )
    for operation, status, count, total, *counts in found:
        buckets = [(str(float(b)), int(n)) for b, n in zip(BUCKETS, counts, strict=True)]
        durations.add_metric([operation, status], [*buckets, ("+Inf", count)], int(total) / 1000)
    return durations


def _locks(db: Session, age: _Age) -> Metric:
    found = db.execute(_named(select(Lock.acquired_at, Lock.run_id, Lock.expires_at), Lock))
    held = GaugeMetricFamily(
        "stateroom_lock_age_seconds",
        "How long a lock has been held, by a run, a person's hold or a client.",
        labels=["project", "workspace", "holder"],
    )
    for acquired, run_id, expires, project, workspace in found:
        holder = "run" if run_id else "hold" if expires else "client"
        held.add_metric([project, workspace, holder], age(acquired))
    return held


def _rescued(db: Session) -> Metric:
    kept = _named(select(func.count()), RescuedWrite)
    undecided = GaugeMetricFamily(
        "stateroom_rescued_writes_undecided",
        "Refused writes that wait for a decision.",
        labels=["project", "workspace"],
    )
    for count, project, workspace in db.execute(kept.group_by(Project.name, Workspace.name)):
        undecided.add_metric([project, workspace], count)
    return undecided


def _full_histories(db: Session) -> Metric:
    full = GaugeMetricFamily(
        "stateroom_full_history_bytes",
        "States that take no lock because their kept versions are too large: bytes of these.",
        labels=["project", "workspace"],
    )
    found = (
        select(State.history_bytes, Project.name, Workspace.name)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(State.history_bytes.is_not(None))
    )
    for size, project, workspace in db.execute(found):
        full.add_metric([project, workspace], float(size or 0))
    return full


def _drifted(db: Session) -> Metric:
    drifted = GaugeMetricFamily(
        "stateroom_drifted",
        "Resources and outputs that the last drift detection has found changed outside.",
        labels=["project", "workspace"],
    )
    found = (
        select(Drift.resources + Drift.outputs, Project.name, Workspace.name)
        .join(Workspace, Workspace.id == Drift.workspace_id)
        .join(Project, Project.id == Workspace.project_id)
    )
    for count, project, workspace in db.execute(found):
        drifted.add_metric([project, workspace], count)
    return drifted


def _workers(db: Session, age: _Age) -> Iterator[Metric]:
    at_work = select(Run.worker, func.count()).where(Run.status.in_(ACTIVE)).group_by(Run.worker)
    busy = Counter(dict(db.execute(at_work).all()))
    seen, slots, runs = (
        GaugeMetricFamily(f"stateroom_worker_{name}", text, labels=["worker"])
        for name, text in (
            ("last_seen_seconds", "Seconds since the heartbeat of a worker (every 10 seconds)."),
            ("slots", "Runs that a worker executes at the same time."),
            ("runs", "Runs that a worker has claimed."),
        )
    )
    for worker in workers.known(db):
        seen.add_metric([worker.name], age(worker.seen_at))
        slots.add_metric([worker.name], worker.slots)
        runs.add_metric([worker.name], busy[worker.name])
    yield from (seen, slots, runs)


def _keys(tx: Transaction, age: _Age) -> Iterator[Metric]:
    canary = tx.db.scalars(select(Canary)).one()
    since = GaugeMetricFamily(
        "stateroom_sealing_key_age_seconds",
        "How long this key has been the current key.",
        labels=["key"],
    )
    since.add_metric([crypto.value_key_id(canary.sealed)], age(canary.created_at))
    yield since
    yield GaugeMetricFamily(
        "stateroom_keyring_keys", "Keys in this server's keyring.", value=len(tx.keyring.keys)
    )


def _named(query: Any, of: type[Lock | RescuedWrite]) -> Any:
    """The held locks or undecided writes, with the names of their project and workspace."""
    waits = Lock.held if of is Lock else RescuedWrite.decision.is_(None)
    return (
        query.add_columns(Project.name, Workspace.name)
        .select_from(of)
        .join(State, State.id == of.state_id)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(waits)
    )


def _milliseconds(moment: Any) -> ColumnElement[int]:
    return type_coerce(moment, BigInteger())
