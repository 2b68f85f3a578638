"""How long the steps of a template's runs may take."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "templates", sa.Column("timeouts", sa.JSON(), nullable=False, server_default="{}")
    )
