"""Decisions about plans: approve, discard; and which plans are approved without a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select, update

from backend import audit
from backend.db import now
from backend.errors import Conflict
from backend.models import PLANNED, Plan, Project, Run
from backend.principal import REPORT
from backend.runs import claims, comments, plans
from backend.runs.moves import move
from backend.runs.queue import named
from backend.transactions import Transaction

AUTO = ("never", "unless_destroys", "always")
STALE = "plan-stale"
AGAIN = "Plan again: `stateroom runs retry {run}`."


@dataclass(frozen=True)
class Decision:
    """Who approves a plan without having seen it; None: it waits for a person."""

    approved_by: str | None = None


def judge(tx: Transaction, run: Run, summary: Mapping[str, int]) -> Decision:
    """Whether the plan of the calling run is approved as it is, by its template or its run.

    A plan that goes back (see `goes_back`) waits for a person, unless who queued it allowed that.
    """
    tx.require(REPORT, run.project_id)
    if run.goes_back is not None and not run.allow_older and run.operation != "destroy":
        return Decision()
    if run.auto_approve:
        return Decision(f"{run.created_by} (auto_approve)")
    rule = run.template.auto_approve
    destroys = bool(summary.get("destroy") or summary.get("replace"))
    fits = rule == "always" or (rule == "unless_destroys" and not destroys)
    if fits and run.may_approve:
        return Decision(f"template {run.template.name} (auto_approve)")
    return Decision()


def approve(tx: Transaction, project: Project, run_id: str, comment: str = "") -> Run:
    """Let a worker apply the plan of a run, exactly as it is.

    A plan that is found stale is not approved: then the run is `stale` afterwards. Raises NotFound,
    and Conflict when the run waits for no approval.
    """
    tx.require("runs:approve", project.id)
    run = _waiting(tx, project, run_id)
    comments.with_decision(tx, run, "approve", comment)
    if end_if_stale(tx, run):
        return run
    record_approval(tx, run, tx.principal.name)
    tx.ring(run.id, run.queue)
    return run


def discard(tx: Transaction, project: Project, run_id: str, comment: str = "") -> Run:
    """End a run whose plan is not wanted. Raises NotFound, and Conflict when it is not planned."""
    tx.require_any(("runs:approve", "runs:cancel"), project.id)
    run = named(tx.db, project, run_id)
    tx.db.refresh(run, with_for_update={"of": Run})
    if run.status != PLANNED:
        raise _not_planned(run)
    comments.with_decision(tx, run, "discard", comment)
    move(tx, run, "discarded")
    return run


def record_approval(tx: Transaction, run: Run, by: str) -> None:
    """Note who approves the plan of a planned run. Raises Conflict if it is not planned any more.

    `approve` has checked who may; for a plan that is approved as it is, its worker asks.
    """
    tx.require_any((REPORT, "runs:approve"), run.project_id)
    approved = tx.db.execute(
        update(Run)
        .where(Run.id == run.id, Run.status == PLANNED, Run.epoch == run.epoch)
        .where(Run.approved_at.is_(None))
        .values(approved_at=now(), approved_by=by, attempts=0)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    tx.db.refresh(run)
    if approved == 0:
        raise _not_planned(run)
    plan = tx.db.get(Plan, run.id)
    if plan is not None:
        plan.approved_by = by
        tx.db.flush()
    audit.record(tx, "run.approve", run.id, project_id=run.project_id, by=by, epoch=run.epoch)


def end_if_stale(tx: Transaction, run: Run) -> bool:
    """End a planned run as `stale` if what it was made from has changed; whether it was."""
    tx.require_any(("runs:approve", "admin"), run.project_id)
    reason = plans.staleness(tx, run)
    if reason is None:
        return False
    move(
        tx, run, "stale", error_code=STALE,
        error_message=f"The plan cannot be applied any more: {reason}. Nothing was changed. "
        + AGAIN.format(run=run.id),
    )  # fmt: skip
    return True


def _waiting(tx: Transaction, project: Project, run_id: str) -> Run:
    """The run, locked, if it waits for an approval. Raises NotFound and Conflict."""
    run = named(tx.db, project, run_id)
    tx.db.refresh(run, with_for_update={"of": Run})
    if run.status != PLANNED or run.approved_at is not None:
        raise _not_planned(run)
    return run


def _not_planned(run: Run) -> Conflict:
    if run.approved_at is not None:
        return Conflict(
            f"The run was approved already, by {run.approved_by}: it is {run.status}.",
            code="run-approved",
            approved_by=run.approved_by,
            run_status=run.status,
        )
    return Conflict(
        f"Only a planned run can be approved or discarded; this one is {run.status}.",
        code="run-not-planned",
        run_status=run.status,
    )


def await_one(tx: Transaction) -> None:
    """End the first leg of the calling run: its plan waits, and no worker has it. Raises Moved.

    If somebody has asked to cancel it meanwhile, it is canceled.
    """
    run = claims.own(tx)
    if run.cancel_requested_at is not None:
        move(tx, run, "canceled", worker=None)
        return
    move(tx, run, PLANNED, planned_at=now(), worker=None)


def find_stale(tx: Transaction, after: str, limit: int) -> str:
    """End those of the next planned runs whose plan is stale; the id of the last one looked at.

    It is empty when there are no more. For Stateroom itself.
    """
    tx.principal.require_installation()
    found = tx.db.scalars(
        select(Run)
        .where(Run.status == PLANNED, Run.id > after)
        .order_by(Run.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Run)
    ).all()
    for run in found:
        end_if_stale(tx, run)
    return found[-1].id if len(found) == limit else ""
