"""What a run executed, and whether it goes back behind the last apply."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("repository", sa.Text(), nullable=True))
        runs.add_column(sa.Column("path", sa.Text(), nullable=True))
        runs.add_column(sa.Column("goes_back", sa.JSON(), nullable=True))
        runs.add_column(
            sa.Column("allow_older", sa.Boolean(), nullable=False, server_default=sa.false())
        )
