"""The tables of users, their roles in projects, and tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.db import now
from backend.models.base import Base, new_id
from backend.models.proven import Proven


class User(Proven, Base):
    """A person, who signs in with a password, with an OpenID provider, or cannot sign in.

    Only the argon2 hash of a password is stored.
    """

    __tablename__ = "users"
    PROVES = (
        "id", "name", "password_hash", "is_admin", "disabled_at", "identity", "admin_by_group",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("usr"))
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str | None]
    is_admin: Mapped[bool] = mapped_column(default=False)  # of the whole installation
    disabled_at: Mapped[datetime | None]
    # at an OpenID provider: its issuer, a blank, and the subject
    identity: Mapped[str | None] = mapped_column(String(800), unique=True)
    admin_by_group: Mapped[bool] = mapped_column(default=False)  # and not by hand
    last_login_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class Member(Proven, Base):
    """The role of a person in a project."""

    __tablename__ = "members"
    KEY = ("project_id", "user_id")
    PROVES = ("project_id", "user_id", "role", "by_group")

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))  # owner, manager, task_runner, guest
    by_group: Mapped[bool] = mapped_column(default=False)  # of the provider, and not by hand
    created_at: Mapped[datetime] = mapped_column(default=now())

    user: Mapped[User] = relationship()


class Attempts(Base):
    """A counter of attempts at a password. `until` is ahead by the attempts not yet forgiven."""

    __tablename__ = "attempts"

    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    until: Mapped[datetime] = mapped_column(index=True)


class Token(Proven, Base):
    """An API credential, stored as a hash. A run's credential is one too, for one claim only."""

    __tablename__ = "tokens"
    PROVES = (
        "id", "hash", "name", "scopes", "project_id", "state_id", "run_id", "run_epoch", "user_id",
        "parent_id", "is_session", "expires_at", "revoked_at",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("tok"))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str]  # separated by blanks
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"))  # None: all
    state_id: Mapped[str | None] = mapped_column(ForeignKey("states.id"))  # a run's
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"), index=True)
    run_epoch: Mapped[int | None]
    user_id: Mapped[str | None] = mapped_column(String(40), index=True)  # the owner, if any
    parent_id: Mapped[str | None] = mapped_column(String(40), index=True)  # the token that made it
    is_session: Mapped[bool] = mapped_column(default=False)  # made by signing in
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
