"""Which backend outside of Stateroom a workspace uses, and whether it shares it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("workspaces") as batch_op:
        batch_op.add_column(sa.Column("own_backend", sa.Text(), nullable=True))
        batch_op.add_column(
            sa.Column("shares_backend", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.create_index(batch_op.f("ix_workspaces_own_backend"), ["own_backend"])
    with op.batch_alter_table("runs") as batch_op:
        batch_op.add_column(sa.Column("own_backend", sa.Text(), nullable=True))
    with op.batch_alter_table("runs") as batch_op:
        batch_op.create_index(
            "one_active_run_per_own_backend",
            ["own_backend"],
            unique=True,
            sqlite_where=sa.text("blocking"),
            postgresql_where=sa.text("blocking"),
        )
