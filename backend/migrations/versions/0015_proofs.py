"""Proofs of the rows that decide, which the first start makes with the keyring."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

PROVEN = (
    *("variables", "keys", "tokens", "users", "members", "aliases", "states", "rescued_writes"),
)


def upgrade() -> None:
    op.create_table(
        "proof_key",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for table in PROVEN:
        number = sa.Column("revision", sa.BigInteger(), nullable=False, server_default="1")
        op.add_column(table, number)
        op.add_column(table, sa.Column("proof", sa.LargeBinary(length=32), nullable=True))
