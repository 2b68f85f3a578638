"""Indexes for lists of runs, which have the newest first and several filters."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

INDEXES = {
    "runs_of_project": ["project_id", "id"],
    "runs_of_workspace": ["workspace_id", "id"],
    "runs_of_template": ["template_id", "id"],
    "runs_in_status": ["project_id", "status", "id"],
    "runs_of_person": ["project_id", "created_by", "id"],
}


def upgrade() -> None:
    op.drop_index("runs_by_project", "runs")
    for name, columns in INDEXES.items():
        op.create_index(name, "runs", columns)
