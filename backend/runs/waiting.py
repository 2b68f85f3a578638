"""Why a run is not at work, in words, with everything that a person needs to go on.

turns.py decides the same for all runs, in SQL.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, func, literal, select
from sqlalchemy.orm import Session, aliased

from backend.db import now
from backend.models import ACTIVE, HARMLESS, PLANNED, Lock, Plan, Run, State, Worker
from backend.runs import queue, workers
from backend.runs.tool_needs import Need
from backend.states import rescued
from backend.transactions import Transaction

_BLOCKER = aliased(Run)  # making one takes milliseconds
_AT_WORK = aliased(Run)


@dataclass(frozen=True)
class Reason:
    """`kind` is stable: run lock hold approval window frozen rescued limit worker queue tool."""

    kind: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Waiting:
    """What a run waits for, the most important first; nothing for one at work, or ended.

    `position`: how many runs of its workspace begin before it, and one; None: it is not queued.
    `rescued` is the id of the rescued write that must be decided before anything runs.
    """

    reasons: Sequence[Reason] = ()
    position: int | None = None
    rescued: str | None = None


@dataclass(frozen=True)
class _Seen:
    """Everything beside the workers that keeps a run waiting, read in one statement."""

    lock: Lock
    blocker: Run | None
    plan_tool: str | None
    plan_version: str | None
    rescued: str | None
    ahead: int
    of_project: int
    of_installation: int
    at: datetime


def find(tx: Transaction, run: Run) -> Waiting:
    """What a run waits for. What a person has to do comes before what passes by itself."""
    tx.require_any(("runs:read", "runs:create", "runs:cancel", "runs:approve"), run.project_id)
    if run.status == PLANNED and run.approved_at is None:
        return Waiting([Reason("approval", _approval(run))])
    if run.status == "lost" and run.blocking:
        return Waiting(rescued=queue.waits_for_rescued(tx.db, run))
    if run.status not in ("queued", PLANNED):
        return Waiting()
    seen = _look(tx.db, run)
    is_queued = run.status == "queued"
    return Waiting(
        [*_of_workspace(run, seen), *_of_installation(tx, run, seen)],
        1 + seen.ahead if is_queued and run.operation not in HARMLESS else None,
        seen.rescued if is_queued else None,
    )


def _look(db: Session, run: Run) -> _Seen:
    found = db.execute(
        select(
            Lock,
            _BLOCKER,
            Plan.tool,
            Plan.tool_version,
            rescued.first_of_runs(run.workspace_id).scalar_subquery(),
            queue.count_ahead(run).scalar_subquery(),
            _at_work(run.project_id),
            _at_work(),
            now(),
        )
        .select_from(State)
        .join(Lock, Lock.state_id == State.id)
        .outerjoin(_BLOCKER, _BLOCKER.id == queue.blocker_of(run).scalar_subquery())
        .outerjoin(Plan, Plan.run_id == literal(run.id))
        .where(State.workspace_id == run.workspace_id)
    ).one()
    return _Seen(*found)


def _at_work(project_id: str | None = None) -> ScalarSelect[int]:
    count = select(func.count()).select_from(_AT_WORK).where(_AT_WORK.status.in_(ACTIVE))
    if project_id is not None:
        count = count.where(_AT_WORK.project_id == project_id)
    return count.scalar_subquery()


def _approval(run: Run) -> str:
    """Whose approval it waits for, and how it is given."""
    says = {finding["rule"]: finding["decision"] for finding in run.findings}
    by = f" by somebody else than {run.created_by}" if "second_person" in says else ""
    overrules = " --overrule" if "ask" in says.values() else ""
    return f"an approval{by}: `stateroom runs approve {run.id}{overrules}`"


def _of_workspace(run: Run, seen: _Seen) -> Iterator[Reason]:
    if seen.rescued is not None and run.status == "queued":
        yield Reason(
            "rescued",
            f"a decision about the rescued write {seen.rescued}: promote or dismiss it",
            {"rescued": seen.rescued},
        )
    workspace = run.workspace
    if workspace.frozen_at is not None:
        yield Reason(
            "frozen",
            f"the end of the freeze by {workspace.frozen_by}: {workspace.frozen_reason}",
            {"by": workspace.frozen_by, "since": _text(workspace.frozen_at)},
        )
    blocker = seen.blocker
    if blocker is not None:
        yield Reason(
            "run",
            f"run {blocker.id} by {blocker.created_by}, which {_doing(blocker)}",
            {"run": blocker.id, "by": blocker.created_by, "status": blocker.status},
        )
    if run.operation not in HARMLESS and workspace.own_backend is None:
        yield from _of_lock(seen.lock, seen.at)
    if run.not_before is not None and run.not_before > seen.at:
        yield Reason(
            "window",
            f"the next window of the template, which opens at {_text(run.not_before)}",
            {"opens_at": _text(run.not_before)},
        )


def _of_lock(lock: Lock, at: datetime) -> Iterator[Reason]:
    if not lock.held or lock.run_id is not None:
        return
    facts = {"by": lock.held_by, "since": _text(lock.acquired_at), "lock_id": lock.lock_id}
    if lock.expires_at is None:
        yield Reason("lock", f"the lock of {lock.held_by} since {facts['since']}", facts)
        return
    if lock.expires_at <= at:
        return
    until = _text(lock.expires_at)
    reason = lock.info.get("Info") or f"until {until}"  # a hold says in it how long it lasts
    yield Reason("hold", f"the hold by {lock.held_by}: {reason}", facts | {"until": until})


def _of_installation(tx: Transaction, run: Run, seen: _Seen) -> Iterator[Reason]:
    most = run.workspace.project.max_runs
    if most is not None and seen.of_project >= most:
        yield Reason("limit", f"the limit of the project ({most})", {"limit": most})
    most = tx.settings.max_runs
    if most and seen.of_installation >= most:
        yield Reason("limit", f"the limit of the installation ({most})", {"limit": most})
    yield from _of_workers(tx, run, seen)


def _of_workers(tx: Transaction, run: Run, seen: _Seen) -> Iterator[Reason]:
    known = workers.every(tx.db)
    alive = workers.alive(known, seen.at)
    listening = [worker for worker in alive if run.queue in worker.queues]
    if not alive:
        yield Reason("worker", f"a worker: {workers.last_seen(known, seen.at)}")
    elif not listening:
        yield Reason(
            "queue",
            f"a worker that listens to the queue {run.queue}: `stateroom worker --queue "
            f"{run.queue}`",
            {"queue": run.queue},
        )
    else:
        yield from _of_tools(tx, _need(run, seen), listening)


def _need(run: Run, seen: _Seen) -> Need:
    """What it needs of a worker: what its plan was made with, once there is one."""
    if run.status == PLANNED and seen.plan_tool is not None:
        return Need(seen.plan_tool, seen.plan_version)
    return Need(run.template.tool, run.template.tool_version)


def _of_tools(tx: Transaction, need: Need, listening: Sequence[Worker]) -> Iterator[Reason]:
    if workers.that_have(tx.here, listening, need):
        return
    held = {
        tool["version"]
        for worker in listening
        for tool in worker.tools or ()
        if tool["name"] == need.tool
    }
    there = f"they have {', '.join(sorted(held))}" if held else "they have none"
    asked = "latest" if need.version in (None, "auto") else need.version
    yield Reason(
        "tool",
        f"a worker that has {need.name} ({there}): `stateroom tools install {need.tool} "
        f"{shlex.quote(asked or '')}` on the machine of one",
        {"tool": need.tool, "version": need.version, "installed": sorted(held)},
    )


def _doing(run: Run) -> str:
    if run.status == PLANNED and run.approved_at is None:
        return "is planned and waits for an approval"
    if run.status == "lost":
        return f"is lost: look at it, then `stateroom runs acknowledge {run.id}`"
    return f"is {run.status}"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
