"""A real installation: `stateroom server` and `stateroom worker` as processes of their own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import requests

from backend import environ
from backend.config import Settings
from tests.support.api import Api, token_of
from tests.support.place import Place
from tests.support.postgres import SOCKETS
from tests.support.processes import Process, free_port, kill_all, living_in, wait_until
from tests.support.project import ROOT
from tests.support.wire import Http


class Stateroom:
    """Its processes are started on demand and all end with `stop`, which also looks for leftovers."""

    def __init__(self, repositories: Path, **settings: object) -> None:
        """Git repositories anywhere in that folder may be cloned by their path."""
        # the sockets of providers are in its work folder: their names must not get too long
        self.folder = Path(tempfile.mkdtemp(prefix="stateroom-"))
        self.data_dir = self.folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings: dict[str, object] = {
            "data_dir": self.data_dir,
            "port": self.port,
            "poll_seconds": 0.5,
            "stop_grace_seconds": 20,
            "local_repositories": str(repositories),
            "sandbox_readable": str(SOCKETS),
            **settings,
        }
        self.path = os.environ["PATH"]
        self.variables: dict[str, str] = {}  # what its processes get besides
        self.server: Process | None = None
        self.workers: list[Process] = []
        self._migrated: Path | None = None

    def with_schema(self, migrated: Path) -> Stateroom:
        """Begin with a copy of this SQLite file, unless there is a data folder: no migration runs."""
        self._migrated = migrated
        return self

    @property
    def api(self) -> Api:
        return Api(self.wire, self.token)

    @property
    def token(self) -> str:
        return token_of(self.data_dir)

    @property
    def wire(self) -> Http:
        return Http(self.url)

    @property
    def work_dir(self) -> Path:
        return self.data_dir / "work"

    @property
    def configuration(self) -> Settings:
        """What its processes read from their environment."""
        return environ.load({}, **self.settings)

    def place(self, **template: object) -> Place:
        """A fresh project here; `template` says what is run in it."""
        return Place(self.wire, self.token, self.configuration, **template)

    def environment(self) -> dict[str, str]:
        """What every process of the installation gets: settings, PATH, and nothing of ours."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        given = {f"STATEROOM_{name.upper()}": str(v) for name, v in self.settings.items()}
        return {
            **kept,
            "PATH": self.path,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **given,
            **self.variables,
        }

    def start(self, workers: int = 1) -> Stateroom:
        self.start_server()
        for _ in range(workers):
            self.start_worker()
        return self

    def start_server(self) -> Process:
        """Raises AssertionError with the server's own words when it is not ready in time."""
        if self._migrated and not self.settings.get("database_url") and not self.data_dir.exists():
            self.data_dir.mkdir(mode=0o700)
            shutil.copy(self._migrated, self.data_dir / self._migrated.name)
        self.server = server = self.command("server")
        wait_until(lambda: self._ready(server), f"{self.url}/readyz", every=0.05)
        return server

    def start_worker(self) -> Process:
        worker = self.command("worker")
        self.workers.append(worker)
        return worker

    def start_worker_elsewhere(self) -> Process:
        """A worker with another data folder, as on another machine."""
        first = self.configuration
        other = {
            "STATEROOM_DATA_DIR": str(self.folder / "elsewhere"),
            "STATEROOM_DATABASE_URL": first.database.render_as_string(hide_password=False),
            "STATEROOM_KEYRING_FILE": str(first.keyring_path),
        }
        before = dict(self.variables)
        self.variables |= other
        try:
            return self.start_worker()
        finally:
            self.variables = before

    def kill_server(self) -> None:
        """End the server and all of its processes with kill -9."""
        assert self.server is not None
        self.server.kill_tree()

    def kill_worker(self) -> None:
        """End a worker with kill -9; what its runs have started is left alone."""
        self.workers.pop().kill()

    def command(self, *arguments: str) -> Process:
        """A `stateroom` command as a process."""
        name = f"{arguments[0]}-{len(list(self.folder.glob('*.log'))) + 1}.log"
        argv = [sys.executable, "-m", "stateroom", *arguments]
        return Process(argv, env=self.environment(), cwd=ROOT, log=self.folder / name)

    def logs(self) -> str:
        parts = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')}" for path in parts)

    def stop(self) -> None:
        """End every process. Raises AssertionError when something of a run is left (I8)."""
        problems = self.stop_processes()
        left = living_in(self.folder)
        problems += [f"left running: {process}" for process in left]
        kill_all(left)
        problems += [f"left in the work folder: {name}" for name in self.work_folders()]
        logs = self.logs()
        shutil.rmtree(self.folder)
        assert not problems, "\n".join(problems) + "\n" + logs[-6000:]

    def stop_processes(self) -> list[str]:
        """End every process, and return what was wrong."""
        problems: list[str] = []
        processes: list[Process] = [*self.workers, *([self.server] if self.server else [])]
        for process in processes:
            try:
                process.stop(60)
            except AssertionError as error:
                problems.append(str(error))
        return problems

    def work_folders(self) -> list[str]:
        if not self.work_dir.is_dir():
            return []
        return [
            path.name for path in self.work_dir.iterdir() if path.is_dir() and path.name[0] != "."
        ]

    def _ready(self, server: Process) -> bool:
        assert server.running, f"the server ended:\n{server.said()}"
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):  # it listens before it answers
            return False
