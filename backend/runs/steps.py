"""Steps: the named parts of one claim of a run, and how each ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import Run, Step
from backend.principal import REPORT
from backend.transactions import Transaction

NOW = timedelta()


def find_all(tx: Transaction, run: Run) -> Sequence[Step]:
    """The steps of a run, in order."""
    tx.require("runs:read", run.project_id)
    return of_run(tx.db, run)


def of_run(db: Session, run: Run) -> Sequence[Step]:
    return db.scalars(
        select(Step).where(Step.run_id == run.id).order_by(Step.epoch, Step.position)
    ).all()


def start(tx: Transaction, name: str, position: int, ago: timedelta = NOW) -> None:
    """Record that a step of the calling run started so long ago. Repeating it is harmless."""
    step = _own(tx) | {"name": name}
    if tx.db.scalar(select(Step.id).filter_by(**step)) is None:
        tx.db.execute(insert(Step).values(**step, position=position, started_at=now(-ago)))


def end(
    tx: Transaction, name: str, status: str, detail: dict[str, Any], ago: timedelta = NOW
) -> None:
    """Record that a step of the calling run ended so long ago."""
    tx.db.execute(
        update(Step)
        .filter_by(**_own(tx), name=name)
        .values(status=status, detail=detail, finished_at=now(-ago))
        .execution_options(synchronize_session=False)
    )


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
