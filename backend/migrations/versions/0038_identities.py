"""Who people are at an OpenID provider, and what its groups gave them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("identity", sa.String(length=800), nullable=True))
        users.add_column(_no("admin_by_group"))
        users.create_unique_constraint("uq_users_identity", ["identity"])
    with op.batch_alter_table("members") as members:
        members.add_column(_no("by_group"))


def _no(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
