"""Queue a run again, with the inputs of one that has ended."""

from __future__ import annotations

from backend.catalogue import run_variables
from backend.errors import Conflict
from backend.models import ENDED, Project, Run
from backend.runs import comments, queue
from backend.runs.queue import PRIORITIES, NewRun
from backend.transactions import Transaction

_PRIORITIES = {number: name for name, number in PRIORITIES.items()}


def retry(tx: Transaction, project: Project, run_id: str, comment: str = "") -> Run:
    """Queue a run that has the inputs of this one, and plans what its ref is now.

    It is checked as every new run is, for whoever asks and by the template of today. Raises
    NotFound, Conflict `run-not-ended` and `run-lost`, Unreadable, and what `queue` raises.
    """
    tx.require("runs:create", project.id)
    old = queue.named(tx.db, project, run_id)
    if old.status not in ENDED:
        raise Conflict(
            f"Only a run that has ended can be queued again; this one is {old.status}.",
            code="run-not-ended",
        )
    if old.blocking:
        raise Conflict(
            "This run was lost, and nobody has looked at it: acknowledge it first "
            f"(`stateroom runs acknowledge {old.id}`).",
            code="run-lost",
        )
    new = queue.queue(tx, old.workspace, _inputs(tx, old))
    comments.with_decision(tx, old, "retry", comment)
    return new


def _inputs(tx: Transaction, old: Run) -> NewRun:
    return NewRun(
        operation=old.operation,
        ref=old.ref,
        message=old.message,
        targets=old.targets,
        replace=old.replace,
        priority=_PRIORITIES[old.priority],
        auto_approve=old.auto_approve,
        start_empty=old.start_empty,
        allow_older=old.allow_older,
        cli_workspace=old.cli_workspace,
        variables=run_variables.kept(tx, old),
        retry_of=old.id,
    )
