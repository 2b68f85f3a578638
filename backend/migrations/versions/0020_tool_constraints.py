"""Constraints as the version of a template's tool."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("templates") as templates:
        templates.alter_column(
            "tool_version", existing_type=sa.String(length=32), type_=sa.String(length=200)
        )
