"""What people decided about the backends of sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("templates") as batch_op:
        batch_op.add_column(
            sa.Column("ignored_wrappers", sa.JSON(), nullable=False, server_default="[]")
        )
    with op.batch_alter_table("workspaces") as batch_op:
        batch_op.add_column(
            sa.Column("start_empty", sa.Boolean(), nullable=False, server_default=sa.false())
        )
