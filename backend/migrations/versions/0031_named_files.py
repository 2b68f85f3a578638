"""Files of the repository with variables, or for the backend, that a run uses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("templates", "workspaces"):
        with op.batch_alter_table(name) as table:
            for column in ("variable_files", "backend_config_files"):
                table.add_column(sa.Column(column, sa.JSON(), nullable=False, server_default="[]"))
