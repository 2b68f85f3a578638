"""What a run is limited to, and what it makes again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("targets", "replace"):
        op.add_column("runs", sa.Column(name, sa.JSON(), nullable=False, server_default="[]"))
