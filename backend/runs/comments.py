"""What people say about runs, alone or with a decision."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import audit
from backend.errors import Invalid, NotFound
from backend.models import Comment, Project, Run
from backend.transactions import Transaction

LONGEST = 4000


def add(tx: Transaction, project: Project, run_id: str, text: str) -> Comment:
    """Say something about a run. Raises NotFound, and Invalid for an empty text."""
    tx.require("runs:create", project.id)
    run = tx.db.scalars(
        select(Run).where(Run.id == run_id, Run.project_id == project.id)
    ).one_or_none()
    if run is None:
        raise NotFound(f"There is no run {run_id} in the project {project.name}.")
    if not text.strip():
        raise Invalid("A comment has a text.", code="comment-empty")
    comment = record(tx, run, text)
    audit.record(tx, "run.comment", run.id, project_id=run.project_id)
    return comment


def record(tx: Transaction, run: Run, text: str, decision: str | None = None) -> Comment:
    """Store what the principal says. The operation that calls it has checked the scope."""
    comment = Comment(
        run_id=run.id, decision=decision, text=text, created_by=tx.principal.name
    )  # fmt: skip
    tx.db.add(comment)
    tx.db.flush()
    return comment


def with_decision(tx: Transaction, run: Run, decision: str, text: str) -> None:
    """Store what was said with a decision; nothing if nothing was said."""
    if text.strip():
        record(tx, run, text, decision)


def find_all(tx: Transaction, run: Run) -> Sequence[Comment]:
    """The comments of a run, oldest first."""
    tx.require("runs:read", run.project_id)
    return of_run(tx.db, run)


def of_run(db: Session, run: Run) -> Sequence[Comment]:
    found = select(Comment).where(Comment.run_id == run.id)
    return db.scalars(found.order_by(Comment.id)).all()
