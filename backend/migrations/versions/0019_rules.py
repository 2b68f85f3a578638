"""The rules of templates, and who queued a run, by an id that stays when a name changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("templates", sa.Column("rules", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("runs", sa.Column("created_by_id", sa.String(40), nullable=True))
