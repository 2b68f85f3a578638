"""What plans say, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan_documents",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("run_id", "epoch", "kind", "number"),
    )
    _rename_imported()


def _rename_imported() -> None:
    """The count of imports in `changes` is called as it is in plans."""
    runs = sa.table("runs", sa.column("id", sa.String), sa.column("changes", sa.JSON))
    connection = op.get_bind()
    for run_id, changes in connection.execute(sa.select(runs.c.id, runs.c.changes)).all():
        if changes and "imported" in changes:
            renamed = {("import" if k == "imported" else k): n for k, n in changes.items()}
            new = sa.update(runs).where(runs.c.id == run_id).values(changes=renamed)
            connection.execute(new)
