"""The tables of projects, keys, templates, workspaces and variables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.db import now
from backend.models.base import Base, new_id
from backend.models.proven import Proven


class Project(Base):
    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("prj"))
    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str] = mapped_column(default="")
    known_hosts: Mapped[str] = mapped_column(default="")
    accept_new_host_keys: Mapped[bool] = mapped_column(default=False)
    default_workspace_id: Mapped[str | None] = mapped_column(String(40))
    max_states: Mapped[int | None]
    max_versions: Mapped[int | None]  # versions kept of each state
    max_state_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_runs: Mapped[int | None]  # at work at once
    created_at: Mapped[datetime] = mapped_column(default=now())


class Key(Proven, Base):
    """A stored secret: an SSH key, a username and password, or none. Never shown again."""

    __tablename__ = "keys"
    PROVES = (
        "id", "project_id", "name", "kind", "username", "fingerprint", "public_key", "secret",
    )  # fmt: skip
    SEALED = "secret"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("key"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))  # ssh, password, none
    username: Mapped[str | None]
    fingerprint: Mapped[str | None]  # of an SSH key: SHA256:…
    public_key: Mapped[str | None]
    secret: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(default=now())


class GitCredential(Base):
    """A stored key for the repositories below a prefix, which modules and submodules come from."""

    __tablename__ = "git_credentials"
    __table_args__ = (
        UniqueConstraint("workspace_id", "prefix"),
        Index(
            "one_git_credential_per_prefix_of_a_project",
            "project_id",
            "prefix",
            unique=True,
            sqlite_where=text("workspace_id IS NULL"),
            postgresql_where=text("workspace_id IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("git"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id"))  # None: all
    prefix: Mapped[str] = mapped_column(String(512))  # HOST, HOST:PORT or HOST/PATH
    key_id: Mapped[str] = mapped_column(ForeignKey("keys.id"))
    created_at: Mapped[datetime] = mapped_column(default=now())

    key: Mapped[Key] = relationship(lazy="joined")
    workspace: Mapped[Workspace | None] = relationship(lazy="joined")


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
    tool_version: Mapped[str | None] = mapped_column(String(200))
    backend_mode: Mapped[str] = mapped_column(String(16), default="auto")
    override_file: Mapped[str | None]
    submodules: Mapped[bool] = mapped_column(default=False)  # fetch those that it reaches
    lfs: Mapped[bool] = mapped_column(default=False)  # fetch the files of Git LFS that it reaches
    ignored_wrappers: Mapped[list[str]] = mapped_column(JSON, default=list)
    allowed_refs: Mapped[list[str]] = mapped_column(JSON, default=list)  # beside its own ref
    secrets_for_pull_requests: Mapped[bool] = mapped_column(default=False)
    rules: Mapped[dict[str, Any]] = mapped_column(default=dict)  # catalogue/rules.py
    timeouts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # seconds by step
    auto_approve: Mapped[str] = mapped_column(String(16), default="never")
    survey: Mapped[list[Any]] = mapped_column(JSON, default=list)  # catalogue/survey.py
    variable_files: Mapped[list[str]] = mapped_column(JSON, default=list)  # of the repository
    backend_config_files: Mapped[list[str]] = mapped_column(JSON, default=list)
    free_variables: Mapped[bool] = mapped_column(default=False)  # runs may give any for terraform
    queue: Mapped[str] = mapped_column(String(64), default="default")  # of the workers that run it
    key_id: Mapped[str | None] = mapped_column(ForeignKey("keys.id"))
    default_workspace_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(default=now())

    key: Mapped[Key | None] = relationship(lazy="joined")


class Workspace(Base):
    __tablename__ = "workspaces"
    __table_args__ = (UniqueConstraint("project_id", "name"), Index(None, "template_id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("ws"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    template_id: Mapped[str | None] = mapped_column(ForeignKey("templates.id"))  # None: state only
    name: Mapped[str] = mapped_column(String(64))
    module_key_id: Mapped[str | None] = mapped_column(ForeignKey("keys.id"))
    frozen_at: Mapped[datetime | None]
    frozen_by: Mapped[str | None]
    frozen_reason: Mapped[str | None]
    lock_timeout_seconds: Mapped[int | None]  # None: locks of clients are never taken over
    keep_versions: Mapped[int | None]  # None: the setting of the installation
    keep_days: Mapped[int | None]
    start_empty: Mapped[bool] = mapped_column(default=False)  # though a state may be elsewhere
    own_backend: Mapped[str | None] = mapped_column(index=True)  # outside, as a run has found it
    shares_backend: Mapped[bool] = mapped_column(default=False)  # with another workspace
    variable_files: Mapped[list[str]] = mapped_column(JSON, default=list)  # after the template's
    backend_config_files: Mapped[list[str]] = mapped_column(JSON, default=list)
    created_at: Mapped[datetime] = mapped_column(default=now())

    project: Mapped[Project] = relationship()
    template: Mapped[Template | None] = relationship()
    module_key: Mapped[Key | None] = relationship()
    variable_sets: Mapped[list[VariableSet]] = relationship(
        secondary="chosen_sets", order_by="ChosenSet.position", viewonly=True
    )


class VariableSet(Base):
    """Variables that several workspaces of a project choose."""

    __tablename__ = "variable_sets"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("set"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(default=now())


class ChosenSet(Base):
    """A set that a workspace has chosen. One with a higher position wins."""

    __tablename__ = "chosen_sets"
    __table_args__ = (Index("chosen_sets_by_set", "set_id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    set_id: Mapped[str] = mapped_column(ForeignKey("variable_sets.id"), primary_key=True)
    position: Mapped[int]


class Variable(Proven, Base):
    """Every value is sealed. A sensitive one is also never shown again, and masked in logs.

    It belongs to a workspace, a set or a run.
    """

    __tablename__ = "variables"
    PROVES = (
        *("id", "workspace_id", "kind", "name", "value", "sensitive", "is_expression"),
        *("set_id", "run_id", "type"),
    )
    SEALED = "value"
    __table_args__ = (
        UniqueConstraint("workspace_id", "kind", "name"),
        Index("one_variable_of_a_set", "set_id", "kind", "name", unique=True),
        Index("one_variable_of_a_run", "run_id", "kind", "name", unique=True),
        CheckConstraint(
            "(workspace_id IS NOT NULL AND set_id IS NULL AND run_id IS NULL)"
            " OR (workspace_id IS NULL AND set_id IS NOT NULL AND run_id IS NULL)"
            " OR (workspace_id IS NULL AND set_id IS NULL AND run_id IS NOT NULL)",
            name="variable_of_one_owner",
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True, default=lambda: new_id("var"))
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id"))
    set_id: Mapped[str | None] = mapped_column(ForeignKey("variable_sets.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[str] = mapped_column(String(16))  # terraform, environment, backend_config
    name: Mapped[str] = mapped_column(String(255))
    sensitive: Mapped[bool] = mapped_column(default=False)
    is_expression: Mapped[bool] = mapped_column(default=False)  # the type is hcl
    type: Mapped[str | None] = mapped_column(String(16))  # None: made before there were types
    value: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(default=now())

    @property
    def value_type(self) -> str:
        return self.type or ("hcl" if self.is_expression else "string")
