"""What has changed in runs that somebody watches: one look for all of them and all viewers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from backend.models import Run, Step
from backend.transactions import Transaction

# renewed all the time; told as log; told on its own
_UNTOLD = {"lease_expires_at", "log_size", "progress"}
_COLUMNS = [column for column in Run.__table__.columns if column.name not in _UNTOLD]


@dataclass(frozen=True, slots=True)
class Mark:
    """Differs from an earlier one of the same run if something of its rows has changed."""

    log_size: int
    progress: Mapping[str, Any] | None
    row: tuple[Any, ...]
    steps: tuple[int, int]  # that have started, and of these those that have ended


def marks(tx: Transaction, run_ids: Collection[str]) -> Mapping[str, Mark]:
    """The marks of these runs, without those that do not exist. For Stateroom itself."""
    tx.principal.require_installation()
    rows = tx.db.execute(
        select(Run.id, Run.log_size, Run.progress, *_COLUMNS).where(Run.id.in_(run_ids))
    )
    found = {row[0]: (row[1], row[2], tuple(row[3:])) for row in rows}
    counted = select(Step.run_id, func.count(), func.count(Step.finished_at))
    steps = {
        run_id: (started, ended)
        for run_id, started, ended in tx.db.execute(
            counted.where(Step.run_id.in_(run_ids)).group_by(Step.run_id)
        )
    }
    return {
        run_id: Mark(size, progress, row, steps.get(run_id, (0, 0)))
        for run_id, (size, progress, row) in found.items()
    }
