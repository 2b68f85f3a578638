"""Steps: the named parts of one claim of a run, and how each ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import Run, Step

NOW = timedelta()


def find_all(db: Session, run: Run) -> Sequence[Step]:
    return db.scalars(
        select(Step).where(Step.run_id == run.id).order_by(Step.epoch, Step.position)
    ).all()


def start(  # noqa: PLR0913 which step of which claim, and since when
    db: Session, run_id: str, epoch: int, name: str, position: int, ago: timedelta = NOW
) -> None:
    """It started so long ago. Starting it twice is harmless."""
    same = select(Step.id).where(Step.run_id == run_id, Step.epoch == epoch, Step.name == name)
    if db.scalar(same) is None:
        step = {"run_id": run_id, "epoch": epoch, "name": name, "position": position}
        db.execute(insert(Step).values(**step, started_at=now(-ago)))


def end(  # noqa: PLR0913 which step of which claim, how it ended, and when
    db: Session,
    run_id: str,
    epoch: int,
    name: str,
    status: str,
    detail: dict[str, Any],
    ago: timedelta = NOW,
) -> None:
    """It ended so long ago."""
    db.execute(
        update(Step)
        .where(Step.run_id == run_id, Step.epoch == epoch, Step.name == name)
        .values(status=status, detail=detail, finished_at=now(-ago))
        .execution_options(synchronize_session=False)
    )


def end_open(db: Session, run: Run) -> None:
    """What was under way when the run ended has failed."""
    db.execute(
        update(Step)
        .where(Step.run_id == run.id, Step.status == "running")
        .values(status="failed", finished_at=now())
        .execution_options(synchronize_session=False)
    )
