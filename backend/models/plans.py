from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.models.base import Base


class PlanDocument(Base):
    """A sealed part of what a plan says (`runs/plan_index.py`), or of its JSON.

    A plan is complete when there is its index, which is written last.
    """

    __tablename__ = "plan_documents"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # which planned
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sealed: Mapped[bytes]
