"""Surveys of templates: the variables that are asked for when a run is queued."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("templates") as templates:
        templates.add_column(sa.Column("survey", sa.JSON(), nullable=False, server_default="[]"))
        templates.add_column(
            sa.Column("free_variables", sa.Boolean(), nullable=False, server_default=sa.false())
        )
