from __future__ import annotations

from typing import Any, Literal

from alembic import context

from backend.db import Timestamp
from backend.models import Base


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Render our timestamps as integers, so that migrations do not depend on our types."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Timestamp) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_item=render_item,
    render_as_batch=True,
)
context.run_migrations()
