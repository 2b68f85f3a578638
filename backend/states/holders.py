"""Who holds the lock of a state, in words for people."""

from __future__ import annotations

from backend.models import Lock
from backend.states.locks import holder


def described(lock: Lock) -> str:
    """`alias annas-laptop since 2026-11-30 06:47 UTC (ann@laptop, plan)`, or a hold's reason."""
    since = f" since {lock.acquired_at:%Y-%m-%d %H:%M} UTC" if lock.acquired_at else ""
    if lock.expires_at is not None:
        until = f" until {lock.expires_at:%Y-%m-%d %H:%M} UTC"
        return f"{lock.held_by}{since}{until}: {lock.info.get('Reason')}"
    told = holder(lock)
    operation = told.get("Operation", "").removeprefix("OperationType").lower()
    more = ", ".join(said[:100] for said in (told.get("Who", ""), operation) if said)
    return f"{lock.held_by}{since}" + (f" ({more})" if more else "")
