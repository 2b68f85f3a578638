"""Why a run is not at work, in words, with everything that a person needs to go on.

turns.py decides the same for all runs, in SQL.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import ACTIVE, HARMLESS, PLANNED, Run, State, Worker
from backend.runs import queue, tool_needs, workers
from backend.states import locks, states
from backend.transactions import Transaction


@dataclass(frozen=True)
class Reason:
    """`kind` is stable: run lock hold approval window frozen rescued limit worker queue tool."""

    kind: str
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def of_run(tx: Transaction, run: Run) -> list[Reason]:
    """What a run waits for, the most important first; nothing for one at work, or ended.

    What a person has to do comes before what passes by itself.
    """
    tx.require_any(("runs:read", "runs:create", "runs:cancel", "runs:approve"), run.project_id)
    if run.status == PLANNED and run.approved_at is None:
        return [Reason("approval", _approval(run))]
    if run.status not in ("queued", PLANNED):
        return []
    return [*_of_workspace(tx.db, run), *_of_installation(tx, run)]


def position(db: Session, run: Run) -> int | None:
    """How many runs of its workspace begin before this queued one, and one; None: not queued."""
    if run.status != "queued" or run.operation in HARMLESS:
        return None
    return 1 + queue.count_ahead(db, run)


def _approval(run: Run) -> str:
    """Whose approval it waits for, and how it is given."""
    says = {finding["rule"]: finding["decision"] for finding in run.findings}
    by = f" by somebody else than {run.created_by}" if "second_person" in says else ""
    overrules = " --overrule" if "ask" in says.values() else ""
    return f"an approval{by}: `stateroom runs approve {run.id}{overrules}`"


def _of_workspace(db: Session, run: Run) -> Iterator[Reason]:
    if (kept := queue.waits_for_rescued(db, run)) is not None and run.status == "queued":
        yield Reason(
            "rescued",
            f"a decision about the rescued write {kept}: promote or dismiss it",
            {"rescued": kept},
        )
    workspace = run.workspace
    if workspace.frozen_at is not None:
        yield Reason(
            "frozen",
            f"the end of the freeze by {workspace.frozen_by}: {workspace.frozen_reason}",
            {"by": workspace.frozen_by, "since": _text(workspace.frozen_at)},
        )
    blocker = queue.blocked_by(db, run)
    if blocker is not None:
        yield Reason(
            "run",
            f"run {blocker.id} by {blocker.created_by}, which {_doing(blocker)}",
            {"run": blocker.id, "by": blocker.created_by, "status": blocker.status},
        )
    if run.operation not in HARMLESS and workspace.own_backend is None:
        yield from _of_lock(db, states.of_workspace(db, workspace))
    if run.not_before is not None and run.not_before > db.scalars(select(now())).one():
        yield Reason(
            "window",
            f"the next window of the template, which opens at {_text(run.not_before)}",
            {"opens_at": _text(run.not_before)},
        )


def _of_lock(db: Session, state: State) -> Iterator[Reason]:
    lock = locks.of_state(db, state)
    if not lock.held or lock.run_id is not None:
        return
    facts = {"by": lock.held_by, "since": _text(lock.acquired_at), "lock_id": lock.lock_id}
    if lock.expires_at is None:
        yield Reason("lock", f"the lock of {lock.held_by} since {facts['since']}", facts)
        return
    if lock.expires_at <= db.scalars(select(now())).one():
        return
    until = _text(lock.expires_at)
    reason = lock.info.get("Info") or f"until {until}"  # a hold says in it how long it lasts
    yield Reason("hold", f"the hold by {lock.held_by}: {reason}", facts | {"until": until})


def _of_installation(tx: Transaction, run: Run) -> Iterator[Reason]:
    db, most = tx.db, run.workspace.project.max_runs
    if most is not None and _at_work(db, run.project_id) >= most:
        yield Reason("limit", f"the limit of the project ({most})", {"limit": most})
    most = tx.settings.max_runs
    if most and _at_work(db) >= most:
        yield Reason("limit", f"the limit of the installation ({most})", {"limit": most})
    yield from _of_workers(tx, run)


def _of_workers(tx: Transaction, run: Run) -> Iterator[Reason]:
    alive = workers.alive(tx.db)
    listening = [worker for worker in alive if run.queue in worker.queues]
    if not alive:
        yield Reason("worker", f"a worker: {workers.last_seen(tx.db)}")
    elif not listening:
        yield Reason(
            "queue",
            f"a worker that listens to the queue {run.queue}: `stateroom worker --queue "
            f"{run.queue}`",
            {"queue": run.queue},
        )
    else:
        yield from _of_tools(tx, run, listening)


def _of_tools(tx: Transaction, run: Run, listening: Sequence[Worker]) -> Iterator[Reason]:
    need = tool_needs.of_run(tx.db, run.id)
    if need is None or workers.that_have(tx.here, listening, need):
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


def _at_work(db: Session, project_id: str | None = None) -> int:
    count = select(func.count()).select_from(Run).where(Run.status.in_(ACTIVE))
    if project_id is not None:
        count = count.where(Run.project_id == project_id)
    return db.scalar(count) or 0


def _doing(run: Run) -> str:
    if run.status == PLANNED and run.approved_at is None:
        return "is planned and waits for an approval"
    if run.status == "lost":
        return f"is lost: look at it, then `stateroom runs acknowledge {run.id}`"
    return f"is {run.status}"


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
