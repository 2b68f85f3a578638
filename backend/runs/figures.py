"""Runs per day, for a small chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import BigInteger, case, func, select, type_coerce

from backend.catalogue.projects import seen
from backend.db import now
from backend.models import Project, Run
from backend.transactions import Transaction

DAYS = 30
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Day:
    """How many runs were queued on a day (UTC), and how many of them failed."""

    day: date
    runs: int
    failed: int


def per_day(tx: Transaction, project: Project | None = None) -> Sequence[Day]:
    """The last days, today last, in this project or in all that the principal sees."""
    if project is None:
        tx.principal.require_held("runs:read")  # every role has it
    else:
        tx.require("runs:read", project.id)
    day = type_coerce(Run.created_at, BigInteger()) // _DAY_MS
    failed = func.sum(case((Run.status.in_(("errored", "lost")), 1), else_=0))
    # the projects, so that both databases read the index of each, and not all runs
    mine = select(Project.id).where(seen(tx.principal, Project.id, project))
    counted = (
        select(day.label("day"), func.count(), failed)
        .where(Run.project_id.in_(mine))
        .where(Run.created_at > now(-timedelta(days=DAYS)))
        .group_by("day")
    )
    found = {int(row[0]): (row[1], row[2]) for row in tx.db.execute(counted)}
    today = int(datetime.now(UTC).timestamp() * 1000) // _DAY_MS
    return [
        Day(date.fromordinal(719_163 + at), *found.get(at, (0, 0)))
        for at in range(today - DAYS + 1, today + 1)
    ]
