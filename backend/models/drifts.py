from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from backend.models.base import Base


class Drift(Base):
    """What the last drift detection of a workspace has found, and how much of it, if anything."""

    __tablename__ = "drifts"

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    looked_at: Mapped[datetime]
    partial: Mapped[bool]  # the run had targets
    resources: Mapped[int]
    outputs: Mapped[int]
    unimportant: Mapped[int]  # resources that differ only in how nothing is written
    sealed: Mapped[bytes]  # JSON
