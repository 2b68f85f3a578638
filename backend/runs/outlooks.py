"""What it takes to approve a planned run, for whoever looks at it before deciding."""

from __future__ import annotations

from dataclasses import dataclass

from backend.errors import Conflict, Forbidden, NotFound, Unreadable
from backend.models import PLANNED, Run
from backend.runs import plan_documents, rules
from backend.transactions import Transaction

_STAYS = ("no-op", "update", "replace")


@dataclass(frozen=True)
class Outlook:
    """`refused` is why the principal may not approve the run; None: it may.

    `overrules`: whoever approves it overrules a rule. `destroys_all`: see below.
    """

    refused: str | None
    overrules: bool
    destroys_all: bool


def of_run(tx: Transaction, run: Run) -> Outlook | None:
    """The outlook of a run for the principal; None when it waits for no approval."""
    tx.require("runs:read", run.project_id)
    if run.status != PLANNED or run.approved_at is not None:
        return None
    return Outlook(
        refused=_refused(tx, run),
        overrules=rules.verdict(rules.findings_of(run)) == "ask",
        destroys_all=destroys_all(tx, run),
    )


def destroys_all(tx: Transaction, run: Run) -> bool:
    """Whether a plan destroys all that there is, whatever it makes instead; or may, if unreadable.

    A replacement stays. Every `destroy` is meant so, also one with targets.
    """
    tx.require("runs:read", run.project_id)
    if run.operation == "destroy":
        return True
    changes = run.changes or {}
    if changes.get("destroy", 0) <= changes.get("replace", 0):
        return False
    try:
        index = plan_documents.index_of(tx, run)
    except (NotFound, Unreadable):  # then nobody can see in the plan what stays
        return True
    return not any(
        head.action in _STAYS and not _is_kept_nowhere(head.address) for head in index.heads
    )


def _refused(tx: Transaction, run: Run) -> str | None:
    try:
        tx.require("runs:approve", run.project_id)
        rules.require_second_person(rules.of(run.template), run, tx.principal)
        rules.require_may_overrule(tx.principal, run, overrule=True)
    except (Forbidden, Conflict, Unreadable) as error:
        return error.message
    return None


def _is_kept_nowhere(address: str) -> bool:
    """Whether it is of a data source, or ephemeral."""
    return any(f".{kind}." in f".{address}" for kind in ("data", "ephemeral"))
