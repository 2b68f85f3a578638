"""The tables. Secrets and documents are sealed bytes (crypto.py); the row is the truth."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from backend.db import Timestamp, now

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32


def new_id(prefix: str) -> str:
    """`prefix_` and 26 characters that sort by time: 48 bits of milliseconds, 80 random ones."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 SQLAlchemy reads it from the class
        datetime: Timestamp(),
        dict[str, Any]: JSON(),
        bytes: LargeBinary(),
        str: Text(),
    }


class Canary(Base):
    """One row: proof that the keyring is the one this database was sealed with."""

    __tablename__ = "canary"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Project(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("prj"))
    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str] = mapped_column(default="")
    known_hosts: Mapped[str] = mapped_column(default="")
    accept_new_host_keys: Mapped[bool] = mapped_column(default=False)
    default_workspace_id: Mapped[str | None] = mapped_column(String(40))
    max_states: Mapped[int | None]
    max_versions: Mapped[int | None]  # kept ones, of each state
    max_state_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now())


class User(Base):
    """A person. The password is kept as its argon2 hash; without one nobody signs in."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("usr"))
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str | None]
    is_admin: Mapped[bool] = mapped_column(default=False)  # of the whole installation
    disabled_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Member(Base):
    """What a person is in a project."""

    __tablename__ = "members"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))  # owner, manager, task_runner, guest
    created_at: Mapped[datetime] = mapped_column(default=now())

    user: Mapped[User] = relationship()


class Key(Base):
    """A stored secret: an SSH key, a username and password, or none. Never shown again."""

    __tablename__ = "keys"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("key"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))  # ssh, password, none
    username: Mapped[str | None]
    fingerprint: Mapped[str | None]  # of an SSH key, SHA256:…
    public_key: Mapped[str | None]
    secret: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Template(Base):
    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("tpl"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(64))
    repository: Mapped[str]
    ref: Mapped[str | None]
    path: Mapped[str] = mapped_column(default=".")
    tool: Mapped[str] = mapped_column(String(16), default="terraform")
    tool_version: Mapped[str | None] = mapped_column(String(32))
    backend_mode: Mapped[str] = mapped_column(String(16), default="auto")
    override_file: Mapped[str | None]
    key_id: Mapped[str | None] = mapped_column(ForeignKey("keys.id"))
    default_workspace_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now())

    key: Mapped[Key | None] = relationship(lazy="joined")


class Workspace(Base):
    __tablename__ = "workspaces"
    __table_args__ = (UniqueConstraint("project_id", "name"), Index(None, "template_id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("ws"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    template_id: Mapped[str | None] = mapped_column(ForeignKey("templates.id"))  # None: no runs
    name: Mapped[str] = mapped_column(String(64))
    module_key_id: Mapped[str | None] = mapped_column(ForeignKey("keys.id"))
    frozen_at: Mapped[datetime | None]
    frozen_by: Mapped[str | None]
    frozen_reason: Mapped[str | None]
    lock_timeout_seconds: Mapped[int | None]  # None: a lock from outside never times out
    keep_versions: Mapped[int | None]  # None: as the installation has it
    keep_days: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now())

    project: Mapped[Project] = relationship()
    template: Mapped[Template | None] = relationship()
    module_key: Mapped[Key | None] = relationship()


class Variable(Base):
    """Every value is sealed; a sensitive one is never shown again and masked in logs."""

    __tablename__ = "variables"
    __table_args__ = (UniqueConstraint("workspace_id", "kind", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("var"))
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    kind: Mapped[str] = mapped_column(String(16))  # terraform, environment
    name: Mapped[str] = mapped_column(String(255))
    sensitive: Mapped[bool] = mapped_column(default=False)
    is_expression: Mapped[bool] = mapped_column(default=False)
    value: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())


class State(Base):
    """One Terraform state. `current` is the number of its newest version; 0 = never written."""

    __tablename__ = "states"

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("st"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), unique=True)
    current: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]  # it was moved to another backend
    archived_to: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=now())

    workspace: Mapped[Workspace] = relationship()


class StateVersion(Base):
    """One immutable document of a state. Its body is sealed: here, or in a blob file.

    A removed one keeps its row, so that numbers stay 1..n and the history is told whole.
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
    removed_at: Mapped[datetime | None]  # its body is gone
    removed_because: Mapped[str | None] = mapped_column(String(16))
    run_id: Mapped[str | None] = mapped_column(String(40), index=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    key_id: Mapped[str] = mapped_column(String(64))
    wrapped_key: Mapped[bytes]
    blob: Mapped[str | None] = mapped_column(String(80), index=True)
    sealed: Mapped[bytes | None] = mapped_column(deferred=True)


class Lock(Base):
    """One row a state, kept after the release: `lock_id` is then the one that held it last."""

    __tablename__ = "locks"

    state_id: Mapped[str] = mapped_column(ForeignKey("states.id"), primary_key=True)
    lock_id: Mapped[str | None]
    held: Mapped[bool] = mapped_column(default=False)
    info: Mapped[dict[str, Any]] = mapped_column(default=dict)
    held_by: Mapped[str] = mapped_column(default="")
    run_id: Mapped[str | None] = mapped_column(String(40))
    run_epoch: Mapped[int | None]
    version_at_release: Mapped[int] = mapped_column(default=0)
    taken_from: Mapped[str | None]  # the ID that held it until it was taken over
    expires_at: Mapped[datetime | None]  # of a hold by a person
    acquired_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]


class RescuedWrite(Base):
    """A state document that was refused, kept sealed so that nothing is lost."""

    __tablename__ = "rescued_writes"

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


class Alias(Base):
    """An unguessable address to one state. Its login is made by us, or is that of a Key."""

    __tablename__ = "aliases"

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("al"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), index=True)
    state_id: Mapped[str] = mapped_column(ForeignKey("states.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(64), unique=True)
    access: Mapped[str] = mapped_column(String(16))  # read-only, read-write
    username: Mapped[str]
    password_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))  # None: that of the key
    key_id: Mapped[str | None] = mapped_column(ForeignKey("keys.id"), index=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    key: Mapped[Key | None] = relationship()


ACTIVE = ("preparing", "planning", "planned", "applying")
ENDED = ("applied", "planned_and_finished", "discarded", "stale", "errored", "canceled", "lost")


class Run(Base):
    """One asked-for execution. `epoch` fences: it rises with every claim and every loss."""

    __tablename__ = "runs"
    __table_args__ = (
        Index(
            "one_active_run_per_workspace",
            "workspace_id",
            unique=True,
            sqlite_where=text("blocking"),
            postgresql_where=text("blocking"),
        ),
        Index("runs_by_status", "status", "created_at"),
        Index("runs_by_workspace", "workspace_id", "created_at"),
        Index("runs_by_project", "project_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("run"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    template_id: Mapped[str] = mapped_column(ForeignKey("templates.id"))
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    operation: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(24), default="queued")
    blocking: Mapped[bool] = mapped_column(default=False)  # holds its workspace
    ref: Mapped[str | None]
    message: Mapped[str] = mapped_column(default="")
    commit: Mapped[str | None] = mapped_column(String(64))
    epoch: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    force_cancel: Mapped[bool] = mapped_column(default=False)
    start_empty: Mapped[bool] = mapped_column(default=False)  # though a state was elsewhere
    detection: Mapped[dict[str, Any] | None]
    changes: Mapped[dict[str, Any] | None]  # {"add": n, "change": n, "destroy": n}
    plan_sha256: Mapped[str | None] = mapped_column(String(64))
    warnings: Mapped[list[str]] = mapped_column(JSON, default=list)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None]
    sandbox: Mapped[str | None]
    tool: Mapped[str | None]
    log_size: Mapped[int] = mapped_column(BigInteger, default=0)
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]

    workspace: Mapped[Workspace] = relationship()
    template: Mapped[Template] = relationship()


class Step(Base):
    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("run_id", "epoch", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("step"))
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    epoch: Mapped[int]
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="running")  # done, failed
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    started_at: Mapped[datetime] = mapped_column(default=now())
    finished_at: Mapped[datetime | None]


class LogChunk(Base):
    """A piece of a run's log, sealed. `start` is its offset in the clear text, in bytes."""

    __tablename__ = "log_chunks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    length: Mapped[int]
    sealed: Mapped[bytes]


class Token(Base):
    """An API credential, kept hashed. A run's own credential is one too, bound to its epoch."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("tok"))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str]  # separated by blanks
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))  # None: all
    state_id: Mapped[str | None] = mapped_column(ForeignKey("states.id"))  # a run's
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    run_epoch: Mapped[int | None]
    user_id: Mapped[str | None] = mapped_column(String(40), index=True)  # whose; None: nobody's
    parent_id: Mapped[str | None] = mapped_column(String(40), index=True)  # what it was made with
    is_session: Mapped[bool] = mapped_column(default=False)  # its person signed in
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """What a POST with this Idempotency-Key made, so that its repetition makes nothing new."""

    __tablename__ = "idempotency_keys"

    principal: Mapped[str] = mapped_column(String(80), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    made: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now())


class AuditEntry(Base):
    """One accepted mutation or reading: who did what, in the mutation's own transaction.

    Rows are only ever added: triggers of the database refuse the rest.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("audit_by_project", "project_id", "at"),
        Index("audit_by_time", "at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("aud"))
    at: Mapped[datetime] = mapped_column(default=now())
    principal: Mapped[str]  # its name, which anybody may choose
    principal_id: Mapped[str | None] = mapped_column(String(40))  # None: Stateroom itself
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str] = mapped_column(String(120))
    project_id: Mapped[str | None] = mapped_column(String(40))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AuditLink(Base):
    """A link of the chain over the audit log: `hash` covers the entry and the link before."""

    __tablename__ = "audit_links"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[str] = mapped_column(ForeignKey("audit_entries.id"), unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[datetime] = mapped_column(default=now())


class AuditKey(Base):
    """One row: the sealed key that signs the chain, so that the database alone cannot forge it."""

    __tablename__ = "audit_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())
