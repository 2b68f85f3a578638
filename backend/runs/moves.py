"""The row is the truth: every move of a run is one compare-and-set on its status and epoch."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, true, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import now
from backend.errors import Conflict
from backend.models import ACTIVE, ENDED, HARMLESS, PLANNED, PlanPiece, Run
from backend.principal import REPORT
from backend.runs import steps
from backend.states import locks
from backend.transactions import Transaction

# The only moves there are. What is not here is refused.
EDGES: dict[str, frozenset[str]] = {
    "queued": frozenset({"preparing", "errored", "canceled"}),
    # with an approved plan it goes straight to applying, or back to planned
    "preparing": frozenset(
        {"planning", "applying", "queued", "planned", "stale", "errored", "canceled"}
    ),
    # a transfer of a state has no plan: it goes from looking straight to moving
    "planning": frozenset(
        {"planned", "planned_and_finished", "applying", "queued", "errored", "canceled"}
    ),
    # whoever approves it by itself applies at once; else a worker claims it again
    "planned": frozenset({"preparing", "applying", "discarded", "stale", "errored", "canceled"}),
    "applying": frozenset({"applied", "stale", "errored", "canceled", "lost"}),
}
BLOCKING = frozenset({*ACTIVE, PLANNED, "lost"})
# no worker has it any more
_LET_GO = {"lease_expires_at": None}


class Moved(Conflict):
    """The run has another status than the caller thinks, or another worker has it now."""

    code = "run-moved"


class CancelAsked(Conflict):
    """Somebody asked to cancel the run, so it does not begin to apply."""

    code = "run-cancel-asked"


def move(tx: Transaction, run: Run, status: str, **values: Any) -> None:
    """One step along EDGES, for the status and epoch that `run` was read with.

    Raises Moved, and CancelAsked for the step to `applying`: whoever was told that the run will be
    canceled before it changes anything can rely on it.
    """
    tx.require_any((REPORT, "runs:cancel", "runs:approve"), run.project_id)
    if status not in EDGES.get(run.status, frozenset()):
        raise Moved(f"A run does not go from {run.status} to {status}.")
    ended = status in ENDED
    changes = {
        "status": status,
        "blocking": status in BLOCKING and run.operation not in HARMLESS,
        **({} if status in ACTIVE else _LET_GO),
        **({"finished_at": now()} if ended else {}),
        **values,
    }
    as_read = Run.id == run.id, Run.status == run.status, Run.epoch == run.epoch
    allowed = Run.cancel_requested_at.is_(None) if status == "applying" else true()
    moved = tx.db.scalars(
        update(Run)
        .where(*as_read, allowed)
        .values(changes)
        .returning(Run)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one_or_none()
    if moved is None and tx.db.scalar(select(Run.id).where(*as_read)):
        raise CancelAsked("The run was canceled before it began to apply: nothing was changed.")
    if moved is None:
        raise Moved(f"The run {run.id} is no longer {run.status} under epoch {run.epoch}.")
    audit.record(
        tx, f"run.{status}", run.id, project_id=run.project_id, epoch=run.epoch,
        error=values.get("error_code"),
    )  # fmt: skip
    if status not in ACTIVE:
        locks.release_of_run(tx, run.id)
        steps.end_open(tx.db, run)
    if ended or status == "queued":
        _forget_plan(tx.db, run)
    if ended:
        tx.log(
            "run_ended", run=run.id, project=run.project_id, workspace=run.workspace_id,
            operation=run.operation, status=status, error=run.error_code, seconds=_seconds(run),
        )  # fmt: skip


def _forget_plan(db: Session, run: Run) -> None:
    """Delete what would be applied. What the plan was made from stays known."""
    db.execute(delete(PlanPiece).where(PlanPiece.run_id == run.id))


def _seconds(run: Run) -> float | None:
    """From its first claim to its end; None when it was never claimed."""
    if run.started_at is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at).total_seconds()
