"""The tables of the canary, of idempotency keys and of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.db import now
from backend.models.base import Base, new_id


class Canary(Base):
    """One sealed row, which proves that the keyring belongs to this database."""

    __tablename__ = "canary"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())


class ProofKey(Base):
    """One row with the sealed key of all proofs, and whether every row has got its proof."""

    __tablename__ = "proof_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())


class IdempotencyKey(Base):
    """The result of a POST with this Idempotency-Key, so that repeating it creates nothing new."""

    __tablename__ = "idempotency_keys"

    principal: Mapped[str] = mapped_column(String(80), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    made: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now())


class AuditEntry(Base):
    """Who made a change or read something, written in the same transaction.

    Rows are only added: triggers in the database refuse to change or delete them.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("audit_by_project", "project_id", "at"),
        Index("audit_by_time", "at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("aud"))
    at: Mapped[datetime] = mapped_column(default=now())
    principal: Mapped[str]  # the name, which is not unique
    principal_id: Mapped[str | None] = mapped_column(String(40))  # None: Stateroom itself
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str] = mapped_column(String(120))
    project_id: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AuditLink(Base):
    """A link of the chain over the audit log. `hash` covers the entry and the previous link."""

    __tablename__ = "audit_links"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[str] = mapped_column(ForeignKey("audit_entries.id"), unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime] = mapped_column(default=now())


class AuditKey(Base):
    """One row with the sealed key that signs the chain: the database alone cannot forge it."""

    __tablename__ = "audit_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Report(Base):
    """The last result of an examination (upkeep/reports.py)."""

    __tablename__ = "reports"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now())
    by: Mapped[str]
    content: Mapped[dict[str, Any]] = mapped_column(default=dict)
