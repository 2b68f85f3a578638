"""Locks remember the token, alias or run that took them: their ID is no secret."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("locks", sa.Column("held_by_id", sa.String(length=40), nullable=True))
