"""The tools of each worker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("tools", sa.JSON(), nullable=True))
    op.add_column(
        "workers",
        sa.Column("installs_tools", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
