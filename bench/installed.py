"""A temporary installation to measure, in a folder that is removed with it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.postgres import Postgres
from tests.support.stateroom import Stateroom

LOCK_ID = "bench"


@contextmanager
def stateroom(repositories: Path, **settings: object) -> Iterator[Stateroom]:
    """An installation whose server is up. Its log is printed when something goes wrong."""
    running = Stateroom(repositories, **settings)
    try:
        running.start_server()
        yield running
    except BaseException:  # also after Ctrl-C, to show why it hung
        print(running.logs()[-8000:])
        raise
    finally:
        running.stop()


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a database on a PostgreSQL server with fsync, as in production."""
    server = Postgres(fsync="on", full_page_writes="on")
    try:
        yield server.create()
    finally:
        server.stop()


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Addresses:
    """A project with workspaces, whose states are read, written and locked."""

    installation: Stateroom
    project: str

    @classmethod
    def create(cls, installation: Stateroom, project: str, workspaces: int) -> Addresses:
        api = installation.api
        api.post("/projects", name=project)
        api.post(
            f"/projects/{project}/templates",
            name="module",
            repository="https://example.com/never/cloned.git",
            workspace={"name": "w0"},
        )
        for number in range(1, workspaces):
            path = f"/projects/{project}/workspaces"
            api.post(path, name=f"w{number}", template="module")
        return cls(installation, project)

    def path(self, workspace: int) -> str:
        return f"/api/terraform/state/{self.project}/w{workspace}"

    @property
    def header(self) -> str:
        """The header with which terraform authenticates."""
        given = base64.b64encode(f"token:{self.installation.token}".encode()).decode()
        return f"Authorization: Basic {given}\r\n"

    def lock(self, workspace: int) -> None:
        headers = dict([self.header.strip().split(": ", 1)], **{"Content-Type": "application/json"})
        answer = self.installation.wire.send("LOCK", self.path(workspace), lock_info(), headers)
        assert answer.status == 200, answer


def lock_info() -> bytes:
    info: dict[str, Any] = {
        "ID": LOCK_ID,
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": "ann@laptop",
        "Version": "1.11.4",
        "Created": "2024-05-06T07:08:09.123456789Z",
        "Path": "",
    }
    return json.dumps(info).encode()


def serving(installation: Stateroom) -> psutil.Process:
    """The process that answers requests: gunicorn's worker, not its master."""
    assert installation.server is not None
    (worker,) = psutil.Process(installation.server.pid).children()
    return worker
