from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from backend.db import execute
from backend.models import AuditEntry
from backend.principal import Principal

_INSERT = insert(AuditEntry)


def record(
    db: Session,
    principal: Principal,
    action: str,
    thing: str,
    *,
    project_id: str | None = None,
    **detail: Any,
) -> None:
    """Write one entry into the mutation's own transaction: both are kept, or neither."""
    entry = {
        "principal": principal.name,
        "action": action,
        "object": thing,
        "project_id": project_id,
        "detail": {name: value for name, value in detail.items() if value is not None},
    }
    execute(db, _INSERT, entry)
