"""A reverse proxy on loopback with faults that a test chooses."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass
class Fault:
    """What happens to the first `times` requests with this verb."""

    verb: str
    kind: str  # answer, redirect, cut, delay
    times: int = 1
    status: int = 0
    seconds: float = 0.0
    to: str = ""  # where a redirect goes
    forward: bool = False  # the server gets the request before the fault


@dataclass(frozen=True)
class Seen:
    verb: str
    path: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)


class Proxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.seen: list[Seen] = []
        self.habits: set[str] = set()
        self._faults: list[Fault] = []
        self._mutex = threading.Lock()
        self._server = _Listener(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def commit_then_answer(self, status: int, verb: str, times: int = 1) -> None:
        """Pass the request on, but answer the client with a failure."""
        self._faults.append(Fault(verb, "answer", times, status=status, forward=True))

    def answer(self, status: int, verb: str, times: int = 1) -> None:
        """Answer without passing the request on."""
        self._faults.append(Fault(verb, "answer", times, status=status))

    def redirect(self, status: int, verb: str, times: int = 10**6, to: str = "") -> None:
        """Redirect to the same path and query on the server itself, or at `to`."""
        self._faults.append(Fault(verb, "redirect", times, status=status, to=to or self.upstream))

    def make_a_habit_of(self, *habits: str) -> None:
        """Do this to every request: `lose NAME` (a header), `lose the query`, `empty chunks`."""
        self.habits |= set(habits)

    def as_passed_on(self, seen: Seen) -> Seen:
        lost = {habit.removeprefix("lose ") for habit in self.habits}
        path = seen.path.partition("?")[0] if "the query" in lost else seen.path
        is_emptied = "empty chunks" in self.habits and "transfer-encoding" in seen.headers
        headers = {name: value for name, value in seen.headers.items() if name not in lost}
        return Seen(seen.verb, path, headers, b"" if is_emptied else seen.body)

    def cut(self, verb: str, times: int = 1, *, forward: bool = False) -> None:
        """End the connection without an answer."""
        self._faults.append(Fault(verb, "cut", times, forward=forward))

    def delay(self, verb: str, seconds: float, times: int = 1) -> None:
        self._faults.append(Fault(verb, "delay", times, seconds=seconds, forward=True))

    def verbs(self) -> list[str]:
        return [request.verb for request in self.seen]

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take_fault(self, seen: Seen) -> Fault | None:
        with self._mutex:
            self.seen.append(seen)
            for fault in self._faults:
                if fault.verb == seen.verb and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def proxy_to(upstream: str) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.stop()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection, which these tests do on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def handle_one(self) -> None:
        seen = Seen(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            self._body(),
        )
        fault = self.server.proxy.take_fault(seen)
        if fault is None:
            self._relay(self._forward(self.server.proxy.as_passed_on(seen)))
            return
        answer = self._forward(seen) if fault.forward else None
        time.sleep(fault.seconds)
        if fault.kind == "cut":
            self.close_connection = True
        elif fault.kind == "delay" and answer is not None:
            self._relay(answer)
        else:
            self._say(fault, seen)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _forward(self, seen: Seen) -> tuple[http.client.HTTPResponse, bytes]:
        host = urlsplit(self.server.proxy.upstream).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            chunked = "transfer-encoding" in seen.headers
            headers = {n: v for n, v in seen.headers.items() if n not in HOP_BY_HOP}
            connection.request(
                seen.verb,
                seen.path,
                body=iter([seen.body] if seen.body else []) if chunked else seen.body or None,
                headers=headers | ({"Transfer-Encoding": "chunked"} if chunked else {}),
                encode_chunked=chunked,
            )
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def _relay(self, answer: tuple[http.client.HTTPResponse, bytes]) -> None:
        response, body = answer
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _say(self, fault: Fault, seen: Seen) -> None:
        self.send_response_only(fault.status)
        if fault.kind == "redirect":
            self.send_header("Location", fault.to + seen.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 its name there
        """Print nothing."""

    do_GET = do_POST = do_PUT = do_DELETE = do_LOCK = do_UNLOCK = handle_one  # noqa: N815
