"""States whose kept versions have more bytes than the installation allows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("states", sa.Column("history_bytes", sa.BigInteger(), nullable=True))
