"""What a request of the state protocol costs in process, without sockets, compared with /healthz.

The application is called as a WSGI server calls it, with SQLite, in turns with GET /healthz, which
reads nothing. A state has 100 KB. Each write holds a lock and sends Content-MD5 and a new serial.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from app import create_app
from backend.config import Settings
from bench import bodies, installed
from bench.rounds import interleaved, options, show

SIZE = 100_000
LOCK_ID = "bench"
READ, WRITTEN = "/api/terraform/state/bench/w0", "/api/terraform/state/bench/w1"
GOALS = {"GET": "<= 2", "POST": "<= 3.5"}


class Application:
    """Stateroom with two workspaces: one to read and write, one to lock and unlock."""

    def __init__(self, folder: Path) -> None:
        self._app = create_app(Settings(data_dir=folder / "data", port=1))
        token = (folder / "data" / "admin-token").read_text(encoding="ascii").strip()
        self._authorization = "Basic " + base64.b64encode(f"token:{token}".encode()).decode()
        self._document = bodies.structured(SIZE)
        self._serial_at = bodies.serial_at(self._document)
        self._serial = bodies.FIRST_SERIAL
        self._prepare()

    def _prepare(self) -> None:
        template = {
            "name": "m",
            "repository": "https://example.com/x.git",
            "workspace": {"name": "w0"},
        }
        for path, body in (
            ("", {"name": "bench"}),
            ("/bench/templates", template),
            ("/bench/workspaces", {"name": "w1", "template": "m"}),
        ):
            self._call("POST", f"/api/v1/projects{path}", json.dumps(body).encode(), "201")
        self._call("LOCK", READ, installed.lock_info())
        self.post()

    def health(self) -> None:
        self._call("GET", "/healthz")

    def get(self) -> None:
        self._call("GET", READ)

    def post(self) -> None:
        self._serial += 1
        at, serial = self._serial_at, f"{self._serial:010}".encode()
        body = self._document[:at] + serial + self._document[at + len(serial) :]
        self._call("POST", READ, body, query=f"ID={LOCK_ID}")

    def lock_and_unlock(self) -> None:
        for verb in ("LOCK", "UNLOCK"):
            self._call(verb, WRITTEN, installed.lock_info())

    def _call(
        self, verb: str, path: str, body: bytes = b"", expected: str = "200", *, query: str = ""
    ) -> None:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": verb, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "1", "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:1", "HTTP_AUTHORIZATION": self._authorization,
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr, "wsgi.multithread": True, "wsgi.multiprocess": False,
            "wsgi.run_once": False, "wsgi.input_terminated": True,
        }  # fmt: skip
        if body:
            md5 = hashlib.md5(body, usedforsecurity=False).digest()
            environ["CONTENT_LENGTH"], environ["CONTENT_TYPE"] = str(len(body)), "application/json"
            environ["HTTP_CONTENT_MD5"] = base64.b64encode(md5).decode()
        answered: list[str] = []
        answer = self._app.wsgi_app(environ, lambda status, *_: answered.append(status))  # type: ignore[arg-type]  # nothing is written
        for _ in answer:
            pass
        if not answered[0].startswith(expected):
            raise RuntimeError(f"{verb} {path} was answered {answered[0]}")


def measure(application: Application, times: int, rounds: int) -> None:
    """Print the time of each request as a multiple of /healthz."""
    requests = {
        "GET": application.get,
        "POST": application.post,
        "LOCK and UNLOCK": application.lock_and_unlock,
    }
    for name, request in requests.items():
        found = interleaved(
            lambda request=request: _milliseconds(request, times),  # type: ignore[misc]
            lambda: _milliseconds(application.health, times),
            rounds,
        )
        show(f"{name} in process, 100 KB", found, "ms", GOALS.get(name, ""))


def _milliseconds(request: Callable[[], None], times: int) -> float:
    """The mean time of one request."""
    request()
    started = time.perf_counter()
    for _ in range(times):
        request()
    return (time.perf_counter() - started) / times * 1e3


def main() -> None:
    given = options(__doc__).parse_args()
    with installed.scratch() as folder:
        rounds = given.rounds or (1 if given.quick else 9)
        measure(Application(folder), 10 if given.quick else 200, rounds)


if __name__ == "__main__":
    main()
