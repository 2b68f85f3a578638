"""Which tools the waiting runs need, so that a worker takes only those that it can execute."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, false, or_, select
from sqlalchemy.orm import Session

from backend.models import PLANNED, Plan, Run, Template


class Need(NamedTuple):
    """A tool, and the version as its template asks for it; that of the plan, once there is one."""

    tool: str
    version: str | None

    @property
    def name(self) -> str:
        return self.tool if self.version in (None, "auto") else f"{self.tool} {self.version}"


def of_waiting(db: Session) -> set[Need]:
    """What the runs need that a worker could take now or later."""
    queued = (
        select(Template.tool, Template.tool_version)
        .join(Run, Run.template_id == Template.id)
        .where(Run.status == "queued")
    )
    planned = (
        select(Plan.tool, Plan.tool_version)
        .join(Run, Run.id == Plan.run_id)
        .where(Run.status == PLANNED, Run.approved_at.is_not(None))
    )
    return {Need(*row) for found in (queued, planned) for row in db.execute(found.distinct())}


def of_run(db: Session, run_id: str) -> Need | None:
    """What a waiting run needs; None when it does not wait."""
    run = db.get(Run, run_id)
    if run is None or run.status not in ("queued", PLANNED):
        return None
    plan = db.get(Plan, run_id) if run.status == PLANNED else None
    if plan is not None:
        return Need(plan.tool, plan.tool_version)
    return Need(run.template.tool, run.template.tool_version)


def is_one_of(needs: Collection[Need]) -> ColumnElement[bool]:
    """The condition that a waiting run needs one of these."""
    if not needs:
        return false()
    of_template = or_(*(_same(Template.tool, Template.tool_version, need) for need in needs))
    of_plan = or_(*(_same(Plan.tool, Plan.tool_version, need) for need in needs))
    return or_(
        and_(Run.status == "queued", exists().where(Template.id == Run.template_id, of_template)),
        and_(Run.status == PLANNED, exists().where(Plan.run_id == Run.id, of_plan)),
    )


def _same(tool: Any, version: Any, need: Need) -> ColumnElement[bool]:
    return and_(tool == need.tool, version == need.version)
