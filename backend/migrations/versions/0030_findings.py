"""What the rules of its template say about the plan of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("findings", sa.JSON(), nullable=False, server_default="[]"))
