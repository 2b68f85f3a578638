"""Steps: the named parts of one claim of a run, and how each ended."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import Run, Step
from backend.principal import REPORT
from backend.transactions import Transaction


def find_all(tx: Transaction, run: Run) -> Sequence[Step]:
    """The steps of a run, in order."""
    tx.require("runs:read", run.project_id)
    return of_run(tx.db, run)


def of_run(db: Session, run: Run) -> Sequence[Step]:
    return db.scalars(
        select(Step).where(Step.run_id == run.id).order_by(Step.epoch, Step.position)
    ).all()


@dataclass
class Event:
    """A step that has started, and maybe ended. The times are time.monotonic's."""

    name: str
    position: int
    started: float
    ended: float | None = None
    status: str = "running"
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(tx: Transaction, events: Sequence[Event]) -> None:
    """Write what became of steps of the calling run. Repeating it is harmless."""
    own = _own(tx)
    if not events:
        return
    at, moment = tx.db.scalars(_NOW).one(), time.monotonic()

    def by_the_database(told: float) -> datetime:
        return at - timedelta(seconds=moment - told)

    rows = [
        own
        | {
            "name": event.name,
            "position": event.position,
            "status": event.status,
            "detail": event.detail,
            "started_at": by_the_database(event.started),
            "finished_at": None if event.ended is None else by_the_database(event.ended),
        }
        for event in events
    ]
    tx.db.connection().execute(_UPSERT[tx.db.get_bind().dialect.name], rows)


def _upsert(dialect: Any) -> Any:
    insert = dialect.insert(Step)
    changed = {name: insert.excluded[name] for name in ("status", "detail", "finished_at")}
    return insert.on_conflict_do_update(index_elements=["run_id", "epoch", "name"], set_=changed)


_NOW = select(now())
_UPSERT = {"sqlite": _upsert(sqlite), "postgresql": _upsert(postgresql)}


def _own(tx: Transaction) -> dict[str, Any]:
    """The columns that link a step to the calling run and its claim."""
    tx.require(REPORT, tx.principal.project_id)
    return {"run_id": tx.principal.run_id, "epoch": tx.principal.run_epoch}


def end_open(db: Session, run: Run) -> None:
    """Mark steps as failed that were under way when the run ended."""
    db.execute(
        update(Step)
        .where(Step.run_id == run.id, Step.status == "running")
        .values(status="failed", finished_at=now())
        .execution_options(synchronize_session=False)
    )
