"""What planned runs wait for by the clock: an approval in time, and a window for the apply."""

from __future__ import annotations

from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.catalogue.rules import Rules
from backend.db import now
from backend.errors import Unreadable
from backend.models import PLANNED, Run
from backend.runs import comments, rules
from backend.runs.moves import move
from backend.transactions import Transaction

log = structlog.get_logger()


def next_for(db: Session, given: Rules) -> datetime | None:
    """When the next window of these rules opens, by the database's clock; None: it may start."""
    return rules.opens(given, _moment(db)) if given.windows else None


def note_opening(db: Session, run: Run) -> datetime | None:
    """When the apply of an approved run may start, as its template says now; None: at once."""
    opens = next_for(db, rules.of(run.template))
    if run.not_before != opens:
        run.not_before = opens
        db.flush()
    return opens


def is_open(db: Session, run_id: str) -> bool:
    """Whether an approved run may start now. If not, when it may is noted.

    One whose rules cannot be read may not. Other runs are not asked.
    """
    run = db.scalar(select(Run).where(Run.id == run_id, Run.status == PLANNED))
    if run is None or not run.template.rules:
        return True
    try:
        return note_opening(db, run) is None
    except Unreadable as error:
        log.error("rules_unreadable", run=run_id, template=run.template_id, reason=error.message)
        return False


def look_at(tx: Transaction, run: Run) -> None:
    """Discard a planned run that nobody has approved in time; note when an approved one may start.

    The rules of its template may have changed since. For Stateroom itself, with the run locked.
    """
    tx.principal.require_installation()
    given = rules.of(run.template)
    if run.approved_at is not None:
        note_opening(tx.db, run)
        return
    expires = None if run.planned_at is None else rules.expires(given, run.planned_at)
    if expires is not None and expires <= _moment(tx.db):
        comments.record(
            tx, run, f"Nobody approved this plan within {given.approval_hours} hours, which is as "
            "long as its template lets it wait (approval_hours).", "discard",
        )  # fmt: skip
        move(tx, run, "discarded")


def _moment(db: Session) -> datetime:
    return db.scalars(select(now())).one()
