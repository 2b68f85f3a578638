"""Templates whose runs fetch submodules, and files of Git LFS."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("submodules", "lfs"):
        op.add_column(
            "templates",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()),
        )
