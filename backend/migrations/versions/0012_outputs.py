"""The outputs of large documents, beside them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL: nobody has asked for them since the upgrade
    op.add_column("state_versions", sa.Column("outputs", sa.LargeBinary(), nullable=True))
