"""Which refs a template's runs may check out, and which rule allowed that of a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("templates") as templates:
        templates.add_column(
            sa.Column("allowed_refs", sa.JSON(), nullable=False, server_default="[]")
        )
        templates.add_column(
            sa.Column(
                "secrets_for_pull_requests",
                sa.Boolean(),
                nullable=False,
                server_default=sa.false(),
            )
        )
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("ref_rule", sa.Text(), nullable=True))
