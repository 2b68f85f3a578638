"""The tables of states, their versions, locks, rescued writes and aliases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.db import now
from backend.models.base import Base, new_id
from backend.models.catalogue import Key, Workspace
from backend.models.proven import Proven


class State(Proven, Base):
    """One Terraform state. `current` is the number of its newest version, or 0 if there is none."""

    __tablename__ = "states"
    PROVES = (
        "id", "project_id", "workspace_id", "current", "deleted_at", "archived_at", "archived_to",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("st"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), unique=True)
    current: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]  # set when it was moved to another backend
    archived_to: Mapped[str | None]
    # of the kept documents, while they have more than the installation allows
    history_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now())

    workspace: Mapped[Workspace] = relationship()


class StateVersion(Base):
    """One immutable document of a state. Its sealed body is here, or in a blob file.

    A removed version keeps its row, so that the numbers have no gaps and the history is complete.
    """

    __tablename__ = "state_versions"
    __table_args__ = (
        UniqueConstraint("state_id", "number"),
        Index(
            "versions_with_a_body",
            "state_id",
            "number",
            sqlite_where=text("removed_at IS NULL"),
            postgresql_where=text("removed_at IS NULL"),
        ),
        Index(
            "pinned_versions",
            "state_id",
            sqlite_where=text("pinned = 1 AND removed_at IS NULL"),
            postgresql_where=text("pinned AND removed_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("sv"))
    state_id: Mapped[str] = mapped_column(ForeignKey("states.id"))
    number: Mapped[int]
    serial: Mapped[int | None] = mapped_column(BigInteger)
    lineage: Mapped[str | None]
    terraform_version: Mapped[str | None]
    encrypted: Mapped[bool] = mapped_column(default=False)  # by OpenTofu itself
    size: Mapped[int] = mapped_column(BigInteger)
    md5: Mapped[bytes] = mapped_column(LargeBinary(16))
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    lock_id: Mapped[str | None]  # None: written without a lock
    operation: Mapped[str | None]
    forced: Mapped[bool] = mapped_column(default=False)
    restored_from: Mapped[int | None]
    pinned: Mapped[bool] = mapped_column(default=False)
    removed_at: Mapped[datetime | None]  # set when the body was removed
    removed_because: Mapped[str | None] = mapped_column(String(16))
    run_id: Mapped[str | None] = mapped_column(String(40), index=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    key_id: Mapped[str] = mapped_column(String(64))
    wrapped_key: Mapped[bytes]
    blob: Mapped[str | None] = mapped_column(String(80), index=True)
    sealed: Mapped[bytes | None] = mapped_column(deferred=True)
    outputs: Mapped[bytes | None] = mapped_column(deferred=True)  # sealed, of a body in a blob


class Lock(Base):
    """The lock of a state. The row stays after a release, with `lock_id` of the last holder."""

    __tablename__ = "locks"

    state_id: Mapped[str] = mapped_column(ForeignKey("states.id"), primary_key=True)
    lock_id: Mapped[str | None]
    held: Mapped[bool] = mapped_column(default=False)
    info: Mapped[dict[str, Any]] = mapped_column(default=dict)
    held_by: Mapped[str] = mapped_column(default="")
    # the id of the token, alias or run that took it; None: taken before this was stored
    held_by_id: Mapped[str | None] = mapped_column(String(40))
    run_id: Mapped[str | None] = mapped_column(String(40))
    run_epoch: Mapped[int | None]
    version_at_release: Mapped[int] = mapped_column(default=0)
    taken_from: Mapped[str | None]  # the ID of the former holder, after a take-over
    expires_at: Mapped[datetime | None]  # set for a hold only
    acquired_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]


class RescuedWrite(Proven, Base):
    """A state document that was refused, and is kept sealed until a person decides on it."""

    __tablename__ = "rescued_writes"
    PROVES = (
        "id", "state_id", "reason", "serial", "lineage", "size", "md5", "sha256", "run_id",
        "created_by", "decision",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("rw"))
    state_id: Mapped[str] = mapped_column(ForeignKey("states.id"), index=True)
    reason: Mapped[str]
    serial: Mapped[int | None] = mapped_column(BigInteger)
    lineage: Mapped[str | None]
    size: Mapped[int] = mapped_column(BigInteger)
    md5: Mapped[bytes] = mapped_column(LargeBinary(16))
    sha256: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    decision: Mapped[str | None] = mapped_column(String(16))  # promoted, dismissed
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    promoted_to: Mapped[int | None]
    run_id: Mapped[str | None] = mapped_column(String(40))
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    key_id: Mapped[str] = mapped_column(String(64))
    wrapped_key: Mapped[bytes]
    blob: Mapped[str | None] = mapped_column(String(80), index=True)
    sealed: Mapped[bytes | None] = mapped_column(deferred=True)


class Alias(Proven, Base):
    """An unguessable address of one state. Its login is generated, or that of a Key."""

    __tablename__ = "aliases"
    PROVES = (
        "id", "project_id", "state_id", "name", "address", "access", "username", "password_hash",
        "key_id", "token_id", "expires_at", "revoked_at",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("al"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    state_id: Mapped[str] = mapped_column(ForeignKey("states.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64), unique=True)
    access: Mapped[str] = mapped_column(String(16))  # read-only, read-write
    username: Mapped[str]
    password_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))  # None: the key has it
    key_id: Mapped[str | None] = mapped_column(ForeignKey("keys.id"), index=True)
    token_id: Mapped[str | None] = mapped_column(String(40), index=True)  # ends the alias with it
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    key: Mapped[Key | None] = relationship()
