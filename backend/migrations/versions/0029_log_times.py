"""When the parts of a log came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("log_chunks", sa.Column("times", sa.JSON(), nullable=True))
