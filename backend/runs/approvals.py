"""Decisions about plans: approve, discard; and which plans are approved without a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select, update

from backend import audit
from backend.db import now
from backend.errors import Conflict, Unreadable
from backend.models import PLANNED, Plan, Project, Run
from backend.principal import REPORT
from backend.runs import claims, comments, plans, rules, windows
from backend.runs.moves import move
from backend.runs.queue import named
from backend.transactions import Transaction

AUTO = ("never", "unless_destroys", "always")
STALE = "plan-stale"
log = structlog.get_logger()
AGAIN = "Plan again: `stateroom runs retry {run}`."


@dataclass(frozen=True)
class Decision:
    """Who approves a plan without having seen it; None: it waits for a person.

    `refused` says why nobody can approve it. `not_before` is when it may be applied, if later.
    """

    approved_by: str | None = None
    refused: str | None = None
    not_before: datetime | None = None

    @property
    def is_applied_at_once(self) -> bool:
        return self.approved_by is not None and self.not_before is None


def decide(
    tx: Transaction, plan: Mapping[str, Any], plan_sha256: str, lease: timedelta
) -> Decision:
    """Judge the plan of the calling run, and begin to apply it if nothing stands against it.

    Raises Moved, CancelAsked and Unreadable.
    """
    run = claims.own(tx)
    if run.status == "applying":  # the answer to an earlier commit was lost
        return Decision(run.approved_by)
    run.changes, run.plan_sha256 = dict(plan["summary"]), plan_sha256
    tx.db.flush()
    decision = judge(tx, run, plan)
    if decision.is_applied_at_once:
        move(tx, run, PLANNED, planned_at=now())
        record_approval(tx, run, decision.approved_by or "")
        move(tx, run, "applying", lease_expires_at=now(lease))
    return decision


def begin(tx: Transaction) -> bool:
    """Begin to apply the calling run; False when the window for its approved plan has ended.

    Raises Moved, CancelAsked and Unreadable.
    """
    run = claims.own(tx)
    if run.status == "applying":  # the answer to an earlier commit was lost
        return True
    if run.approved_at is not None and windows.note_opening(tx.db, run) is not None:
        return False
    move(tx, run, "applying")
    return True


def judge(tx: Transaction, run: Run, plan: Mapping[str, Any]) -> Decision:
    """Hold the plan of the calling run against the rules of its template, and note what they say.

    Then: whether it is approved as it is, by its template or its run. A plan that goes back (see
    `goes_back`) waits for a person, unless who queued it allowed that; one that a rule says
    anything about does always. Raises Unreadable.
    """
    tx.require(REPORT, run.project_id)
    given = rules.of(run.template)
    findings = rules.judge(given, plan)
    run.findings = [finding.stored() for finding in findings]
    tx.db.flush()
    verdict = rules.verdict(findings)
    if verdict == "refuse":
        return Decision(refused=rules.reason(findings, "refuse"))
    approved_by = None if verdict else _approved_by(run, plan["summary"])
    if approved_by is None:
        return Decision()
    return Decision(approved_by, not_before=windows.next_for(tx.db, given))


def _approved_by(run: Run, summary: Mapping[str, int]) -> str | None:
    """Who approves a plan that no rule says anything about."""
    if run.goes_back is not None and not run.allow_older and run.operation != "destroy":
        return None
    if run.auto_approve:
        return f"{run.created_by} (auto_approve)"
    rule = run.template.auto_approve
    destroys = bool(summary.get("destroy") or summary.get("replace"))
    fits = rule == "always" or (rule == "unless_destroys" and not destroys)
    if fits and run.may_approve:
        return f"template {run.template.name} (auto_approve)"
    return None


def approve(
    tx: Transaction, project: Project, run_id: str, comment: str = "", *, overrule: bool = False
) -> Run:
    """Let a worker apply the plan of a run, exactly as it is.

    A plan that is found stale is not approved: then the run is `stale` afterwards. Raises NotFound,
    Conflict when the run waits for no approval, or its plan breaks a rule and `overrule` is not
    said, and Forbidden for who may not overrule it, or is not the second person that the template
    wants.
    """
    tx.require("runs:approve", project.id)
    run = _waiting(tx, project, run_id)
    rules.require_second_person(rules.of(run.template), run, tx.principal)
    rules.require_may_overrule(tx.principal, run, overrule=overrule)
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
    opens = windows.next_for(tx.db, rules.of(run.template))
    approved = tx.db.execute(
        update(Run)
        .where(Run.id == run.id, Run.status == PLANNED, Run.epoch == run.epoch)
        .where(Run.approved_at.is_(None))
        .values(approved_at=now(), approved_by=by, not_before=opens)
        .execution_options(synchronize_session=False)
    ).rowcount  # type: ignore[attr-defined]
    tx.db.refresh(run)
    if approved == 0:
        raise _not_planned(run)
    plan = tx.db.get(Plan, run.id)
    if plan is not None:
        plan.approved_by = by
        tx.db.flush()
    overruled = [one.rule for one in rules.findings_of(run) if one.decision == "ask"]
    audit.record(
        tx, "run.approve", run.id, project_id=run.project_id, by=by, epoch=run.epoch,
        overruled=overruled or None,
    )  # fmt: skip


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
    if run.status == "stale":  # somebody looked just before: the answer is the same
        return Conflict(run.error_message or "", code=run.error_code, run_status=run.status)
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


def await_one(tx: Transaction, approved_by: str | None = None) -> None:
    """End the first leg of the calling run: its plan waits, and no worker has it. Raises Moved.

    One that is approved already waits for a window. If somebody has asked to cancel the run
    meanwhile, it is canceled.
    """
    run = claims.own(tx)
    if run.cancel_requested_at is not None:
        move(tx, run, "canceled", worker=None)
        return
    move(tx, run, PLANNED, planned_at=now(), worker=None, attempts=0)
    if approved_by is not None:
        record_approval(tx, run, approved_by)


def await_window(tx: Transaction) -> None:
    """Give back the calling run, which was not ready before its window ended. Raises Moved.

    If somebody has asked to cancel it meanwhile, it is canceled.
    """
    run = claims.own(tx)
    status = PLANNED if run.cancel_requested_at is None else "canceled"
    move(tx, run, status, worker=None, attempts=0)


def look_at_planned(tx: Transaction, after: str, limit: int) -> str:
    """End those of the next planned runs that are stale, or were not approved in time.

    Returns the id of the last one looked at; empty when there are no more. For Stateroom itself.
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
        try:
            if not end_if_stale(tx, run):
                windows.look_at(tx, run)
        except Unreadable as error:  # it cannot be applied either; the others are looked at
            log.error("plan_unreadable", run=run.id, reason=error.message)
    return found[-1].id if len(found) == limit else ""
