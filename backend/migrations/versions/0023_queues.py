"""Queues of workers, priorities, and limits for the runs at work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("templates", "runs"):
        label = sa.Column("queue", sa.String(64), nullable=False, server_default="default")
        op.add_column(table, label)
    op.add_column("runs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("projects", sa.Column("max_runs", sa.Integer(), nullable=True))
    queues = sa.Column("queues", sa.JSON(), nullable=False, server_default='["default"]')
    op.add_column("workers", queues)
