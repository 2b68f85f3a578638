"""The yardstick, a server that Stateroom is compared with, and its client: in Go, or in Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.rounds import percentile

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    """One request. `body` is a file. The digits at `patch_at` are replaced by a rising number."""

    verb: str
    path: str
    body: str = ""
    patch_at: int = -1
    digits: int = 10


@dataclass(frozen=True)
class Connection:
    steps: Sequence[Step]
    times: int
    first: int = 0  # the first number


@dataclass(frozen=True)
class Result:
    seconds: float
    latencies: Sequence[float] = field(repr=False)
    statuses: Mapping[str, int]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds

    def latency(self, percent: float) -> float:
        return percentile(self.latencies, percent)


@dataclass(frozen=True)
class Yardstick:
    name: str
    command: Sequence[str]
    port: int

    def load(
        self, port: int, connections: Sequence[Connection], header: str = "", accept: str = "200"
    ) -> Result:
        """Send all of this, each connection at once. Raises RuntimeError for any other status."""
        job = {
            "port": port,
            "header": header,
            "connections": [asdict(connection) for connection in connections],
        }
        done = subprocess.run(
            [*self.command, "load"],
            input=json.dumps(job).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        said = json.loads(done.stdout)
        if set(said["Statuses"]) != {accept}:
            raise RuntimeError(f"answered {said['Statuses']}, not only {accept}")
        return Result(said["Seconds"], said["Latencies"], said["Statuses"])


@contextmanager
def running(folder: Path) -> Iterator[Yardstick]:
    """Both programs, in Go where there is one; the server keeps its files in `folder`."""
    folder.mkdir()
    name, command = _built(folder)
    with subprocess.Popen([*command, "serve", str(folder)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            print(f"yardstick and client: {name}", flush=True)
            yield Yardstick(name, command, port)
        finally:
            server.kill()


def _built(folder: Path) -> tuple[str, Sequence[str]]:
    python = ("plain Python (no go here)", (sys.executable, str(HERE / "plain.py")))
    go = shutil.which("go")
    if go is None:
        return python
    built = subprocess.run(
        [go, "build", "-o", str(folder / "program"), "."],
        cwd=HERE / "reference",
        env={**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode:
        print(built.stderr, file=sys.stderr)
        return f"plain Python ({go} did not build the other)", python[1]
    return "Go net/http, and a Go client with a connection a goroutine", (str(folder / "program"),)
