"""Which runs a list has: by status, or by what several statuses have in common."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import aliased

from backend.models import ACTIVE, PLANNED, Run

GROUPS: Mapping[str, tuple[str, ...]] = {
    "undecided": (PLANNED, "lost"),
    "waiting": ("queued", PLANNED),
    "at_work": ACTIVE,
    "failed": ("errored", "stale", "lost"),
}
_ONE = aliased(Run)
_APPROVED = and_(Run.status == PLANNED, Run.approved_at.is_not(None))
# of the runs in these statuses, those that belong to the group
_ONLY = {
    "undecided": and_(~_APPROVED, Run.acknowledged_at.is_(None)),
    "waiting": or_(Run.status == "queued", _APPROVED),
}


def in_status(name: str) -> ColumnElement[bool]:
    """The condition that a run has this status, or one of this group."""
    if name not in GROUPS:
        return Run.status == name
    # few runs are in most groups: they are found by their status, whoever's they are
    found = Run.id.in_(select(_ONE.id).where(_ONE.status.in_(GROUPS[name])))
    return and_(found, _ONLY[name]) if name in _ONLY else found
