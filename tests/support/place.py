"""A project with a workspace of a test's own, and a client at the address of its state."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from backend.config import Settings
from backend.db import Database
from backend.models import AuditEntry, Project, State, StateVersion, Workspace
from backend.upkeep import installation
from tests.support.api import Api
from tests.support.queued_run import QueuedRun
from tests.support.state_address import StateAddress
from tests.support.wire import Wire

REPOSITORY = "https://example.com/never/cloned.git"


class Place:
    """The project of a test of the state protocol, which no other test uses."""

    def __init__(self, wire: Wire, token: str, settings: Settings, **template: Any) -> None:
        """`template`: its fields, when something is to be run here."""
        self.wire = wire
        self.api = Api(wire, token)
        self.project = f"p-{secrets.token_hex(6)}"
        self.workspace = "first"
        self._settings = settings
        self._paths: dict[str, str] = {}  # of workspaces that are not reached by their names
        self.api.post("/projects", name=self.project)
        self.api.post(
            f"/projects/{self.project}/templates",
            **{"name": "module", "repository": REPOSITORY} | template,
            workspace={"name": self.workspace},
        )
        self.state = self._address(self.workspace, token)

    @property
    def data_dir(self) -> Path:
        """Of the installation."""
        return self._settings.data_dir

    def at_an_alias(self) -> Place:
        """The same place, with its state at the address of an alias."""
        path = f"/projects/{self.project}/workspaces/{self.workspace}/aliases"
        made = self.api.post(path, name="unguessable", access="read-write")
        self._paths[self.workspace] = urlsplit(made["address"]).path
        self.state = self._address(self.workspace, self.api.token)
        return self

    def another_workspace(self) -> StateAddress:
        return self._workspace(f"w-{secrets.token_hex(6)}")

    def queue(
        self, operation: str = "apply", *, workspace: str = "", by: Api | None = None, **fields: Any
    ) -> QueuedRun:
        """A run in the first workspace, or in the one that is named. It waits for no approval."""
        if operation in ("apply", "destroy", "refresh"):
            fields = {"auto_approve": True} | fields
        path = f"/projects/{self.project}/workspaces/{workspace or self.workspace}/runs"
        api = by or self.api
        made = api.post(path, operation=operation, **fields)
        return QueuedRun(api, f"/projects/{self.project}/runs/{made['id']}")

    def set_variable(self, name: str, value: str, kind: str = "terraform", **fields: Any) -> None:
        path = f"/projects/{self.project}/workspaces/{self.workspace}/variables"
        self.api.post(path, name=name, value=value, kind=kind, **fields)

    def member(self, role: str) -> tuple[str, Api]:
        """A new user with this role here, who has signed in: the name, and what they may do."""
        name = f"u-{secrets.token_hex(6)}"
        login = {"username": name, "password": secrets.token_hex(12)}
        self.api.post("/users", name=name, password=login["password"], is_admin=False)
        self.api.put(f"/projects/{self.project}/members/{name}", role=role)
        headers = {"Content-Type": "application/json"}
        answer = self.wire.send("POST", "/api/login", json.dumps(login).encode(), headers)
        assert answer.status == 200, answer
        return name, Api(self.wire, answer.json()["access_token"])

    def with_scopes(self, *scopes: str) -> StateAddress:
        """The same address, for a token of this project with these scopes."""
        return self._as(self.project, *scopes)

    def stranger(self) -> StateAddress:
        """The same address, for a token that may do everything in another project."""
        other = f"p-{secrets.token_hex(6)}"
        self.api.post("/projects", name=other)
        return self._as(other, "admin")

    def filled(self, path: str) -> str:
        return path.format(project=self.project, workspace=self.workspace)

    def versions(self) -> list[dict[str, Any]]:
        """Newest first, as the API lists them."""
        return self.api.every(f"/projects/{self.project}/workspaces/{self.workspace}/states")

    def is_locked(self) -> bool:
        return self._lock()["held"] is True

    def lock_id(self) -> str:
        held: str = self._lock()["lock_id"]
        return held

    def _lock(self) -> dict[str, Any]:
        path = f"/projects/{self.project}/workspaces/{self.workspace}/lock"
        found: dict[str, Any] = self.api.get(path)
        return found

    def audited(self, fact: str) -> list[tuple[str, Any]]:
        """The audit entries of this project: actions, each with one of its details."""
        return [(entry.action, entry.detail.get(fact)) for entry in self._audit_log()]

    def audited_objects(self) -> list[tuple[str, str]]:
        """The audit entries of this project: actions, each with its object."""
        return [(entry.action, entry.object) for entry in self._audit_log()]

    def _audit_log(self) -> Sequence[AuditEntry]:
        with self.looking() as database, database.reading() as db:
            return db.scalars(
                select(AuditEntry)
                .join(Project, Project.id == AuditEntry.project_id)
                .where(Project.name == self.project)
                .order_by(AuditEntry.id)
            ).all()

    def damage_the_newest_version(self) -> None:
        """Flip one bit in the middle of its sealed bytes, in the row or in a file."""
        with self.looking() as database, database.transaction() as db:
            newest = self._newest(db)
            if newest.sealed is not None:
                newest.sealed = _with_one_bit_flipped(newest.sealed)
                return
        for path in self._files_of(newest):
            path.write_bytes(_with_one_bit_flipped(path.read_bytes()))

    def remove_the_file_of_the_newest_version(self) -> None:
        with self.looking() as database, database.reading() as db:
            newest = self._newest(db)
        for path in self._files_of(newest):
            path.unlink()

    def _workspace(self, name: str) -> StateAddress:
        path = f"/projects/{self.project}/workspaces"
        self.api.post(path, name=name, template="module")
        return self._address(name, self.api.token)

    def _as(self, project: str, *scopes: str) -> StateAddress:
        path = f"/projects/{project}/tokens"
        token = self.api.post(path, name="somebody", scopes=list(scopes))
        return self._address(self.workspace, token["secret"])

    def _address(self, workspace: str, token: str) -> StateAddress:
        named = f"/api/terraform/state/{self.project}/{workspace}"
        return StateAddress(self.wire, self._paths.get(workspace, named), token)

    @contextmanager
    def looking(self) -> Iterator[Database]:
        here = installation.existing(self._settings)
        try:
            yield here.database
        finally:
            here.database.close()

    def _newest(self, db: Session) -> StateVersion:
        return db.scalars(
            select(StateVersion)
            .join(State, State.id == StateVersion.state_id)
            .join(Workspace, Workspace.id == State.workspace_id)
            .join(Project, Project.id == State.project_id)
            .where(Project.name == self.project, Workspace.name == self.workspace)
            .order_by(StateVersion.number.desc())
            .limit(1)
            .options(undefer(StateVersion.sealed))
        ).one()

    def _files_of(self, version: StateVersion) -> list[Path]:
        assert version.blob is not None
        files = [path for path in self._settings.blobs_dir.rglob("*") if path.is_file()]
        found = [path for path in files if "".join(path.parts[-2:]).endswith(version.blob)]
        assert found, f"no file of {version.blob}"
        return found


def _with_one_bit_flipped(sealed: bytes) -> bytes:
    middle = len(sealed) // 2
    return sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :]
