"""The statements that take a lock: each checks and changes the row in one UPDATE.

They are built once, at import: building a statement takes longer than executing it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    String,
    Update,
    and_,
    bindparam,
    cast,
    or_,
    select,
    type_coerce,
    update,
)

from backend.db import now
from backend.models import Lock, State, Workspace

_TIMEOUT_MS = cast(
    select(Workspace.lock_timeout_seconds)
    .join(State, State.workspace_id == Workspace.id)
    .where(State.id == Lock.state_id)
    .scalar_subquery(),
    BigInteger,
) * 1000  # fmt: skip
EXPIRED = Lock.expires_at <= now()
SILENT = and_(
    Lock.run_id.is_(None),  # the lock of a run ends with the run, not by a timeout
    Lock.expires_at.is_(None),
    type_coerce(Lock.last_seen_at, BigInteger) + _TIMEOUT_MS <= type_coerce(now(), BigInteger),
)
_OVER = and_(Lock.state_id == bindparam("wanted_by"), Lock.held, or_(EXPIRED, SILENT))
FOR_UPDATE = (
    select(Lock, State, EXPIRED.label("expired"))
    .join(State, State.id == Lock.state_id)
    .where(Lock.state_id == bindparam("state_id"))
    .with_for_update(of=(Lock, State))
    .execution_options(populate_existing=True)
)


def _taking(*which: Any, **values: Any) -> Update:
    return (
        update(Lock)
        .where(*which)
        .values(
            held=True,
            acquired_at=now(),
            last_seen_at=now(),
            expires_at=None,
            **{
                name: bindparam(name)
                for name in ("lock_id", "info", "held_by", "held_by_id", "run_id", "run_epoch")
            },
            **values,
        )
    )


TAKE = _taking(Lock.state_id == bindparam("wanted_by"), ~Lock.held, taken_from=None)
TAKE_OVER = _taking(_OVER, Lock.lock_id == bindparam("late"), taken_from=Lock.lock_id)
LATE = select(
    Lock.lock_id, Lock.version_at_release, Lock.held_by, Lock.last_seen_at, Lock.expires_at
).where(_OVER)
AGAIN = (
    update(Lock)
    .where(
        Lock.state_id == bindparam("wanted_by"),
        Lock.held,
        Lock.lock_id == bindparam("again"),
        Lock.held_by_id == bindparam("again_by", type_=String()),
        Lock.expires_at.is_(None),
    )
    .values(last_seen_at=now())
)
