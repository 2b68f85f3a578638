"""Runs in two legs: a plan that is kept, an approval, and an apply of exactly that plan.

A run that was between planning and applying when its worker stopped plans again: nothing kept its
plan.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_SHA256 = sa.String(64)


def upgrade() -> None:
    _add_columns()
    _create_plans()
    _create_comments()
    op.execute(
        "UPDATE runs SET status = 'queued', epoch = epoch + 1, worker = NULL, "
        "lease_expires_at = NULL WHERE status = 'planned'"
    )
    op.execute(
        sa.text("UPDATE runs SET blocking = :no WHERE status = 'queued' OR operation = 'plan'")
        .bindparams(no=False)
    )  # fmt: skip


def _add_columns() -> None:
    op.add_column(
        "templates",
        sa.Column("auto_approve", sa.String(16), nullable=False, server_default="never"),
    )
    for name in ("auto_approve", "may_approve"):
        op.add_column(
            "runs", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    for name in ("planned_at", "approved_at", "not_before"):
        op.add_column("runs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("approved_by", sa.Text(), nullable=True))


def _create_plans() -> None:
    op.create_table(
        "plans",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("workspace_id", sa.String(40), sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("commit", _SHA256, nullable=False),
        sa.Column("tool", sa.String(16), nullable=False),
        sa.Column("tool_version", sa.String(32), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state_version", sa.Integer(), nullable=True),
        sa.Column("template", _SHA256, nullable=False),
        sa.Column("variables", _SHA256, nullable=False),
        sa.Column("credentials", _SHA256, nullable=False),
        sa.Column("lock_sha256", _SHA256, nullable=True),
        sa.Column("bundle_sha256", _SHA256, nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.LargeBinary(32), nullable=True),
    )
    op.create_table(
        "plan_pieces",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), primary_key=True),
        sa.Column("epoch", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
    )


def _create_comments() -> None:
    op.create_table(
        "comments",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("decision", sa.String(16), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("comments_by_run", "comments", ["run_id", "id"])
