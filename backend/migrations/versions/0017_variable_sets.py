"""Sets of variables, variables of runs, and the types of values."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

ONE_OWNER = (
    "(workspace_id IS NOT NULL AND set_id IS NULL AND run_id IS NULL)"
    " OR (workspace_id IS NULL AND set_id IS NOT NULL AND run_id IS NULL)"
    " OR (workspace_id IS NULL AND set_id IS NULL AND run_id IS NOT NULL)"
)


def upgrade() -> None:
    op.create_table(
        "variable_sets",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("project_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "name"),
    )
    op.create_table(
        "chosen_sets",
        sa.Column("workspace_id", sa.String(length=40), nullable=False),
        sa.Column("set_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"]),
        sa.ForeignKeyConstraint(["set_id"], ["variable_sets.id"]),
        sa.PrimaryKeyConstraint("workspace_id", "set_id"),
    )
    op.create_index("chosen_sets_by_set", "chosen_sets", ["set_id"])
    with op.batch_alter_table("variables") as variables:
        variables.alter_column("workspace_id", existing_type=sa.String(length=40), nullable=True)
        for owner, table in (("set_id", "variable_sets"), ("run_id", "runs")):
            variables.add_column(sa.Column(owner, sa.String(length=40), nullable=True))
            variables.create_foreign_key(f"variables_{owner}_fkey", table, [owner], ["id"])
        variables.add_column(sa.Column("type", sa.String(length=16), nullable=True))
        variables.create_check_constraint("variable_of_one_owner", ONE_OWNER)
    for owner in ("set", "run"):
        columns = [f"{owner}_id", "kind", "name"]
        op.create_index(f"one_variable_of_a_{owner}", "variables", columns, unique=True)
