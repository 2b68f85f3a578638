"""Lists in pages. The cursor is the id of the last row of the previous page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """`next_cursor` is None on the last page."""

    items: Sequence[Row]
    next_cursor: str | None


def page(
    db: Session,
    query: Select[Row],
    key: InstrumentedAttribute[str],
    after: str | None,
    limit: int = DEFAULT_LIMIT,
) -> Page[Row]:
    """The rows with a key above `after`, in the order of the key."""
    if after is not None:
        query = query.where(key > after)
    rows = db.scalars(query.order_by(key).limit(limit + 1)).unique().all()
    return cut(rows, limit, lambda row: str(getattr(row, key.key)))


def cut(rows: Sequence[Row], limit: int, cursor: Callable[[Row], str]) -> Page[Row]:
    """Make a page from limit + 1 rows. The additional row only shows that there are more."""
    items = rows[:limit]
    return Page(items, cursor(items[-1]) if len(rows) > limit else None)
