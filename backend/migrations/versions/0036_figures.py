"""Indexes for runs per day, and for versions that are pinned, of which there are few."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

ON_SQLITE = sa.text("pinned = 1 AND removed_at IS NULL")
ON_POSTGRESQL = sa.text("pinned AND removed_at IS NULL")


def upgrade() -> None:
    op.create_index("runs_by_day", "runs", ["project_id", "created_at", "status"])
    op.create_index(
        "pinned_versions", "state_versions", ["state_id"],
        sqlite_where=ON_SQLITE, postgresql_where=ON_POSTGRESQL,
    )  # fmt: skip
