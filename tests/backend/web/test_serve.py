"""The server under the application: slow, rude and vanished clients."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from backend.web import serve
from tests.support.processes import dying_with_us, wait_until
from tests.support.project import ROOT

SERVER = """
from gevent import monkey; monkey.patch_all()
import sys, threading, time
from backend.config import Settings
from backend.web import serve

def stream(connection):
    stopped = threading.Event()
    connection.set_apart(stopped.set)
    yield b"first"
    stopped.wait(60)
    yield b"last"

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [])
        return stream(environ["gunicorn.socket"])
    if path == "/read":
        answer = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/slow":
        time.sleep(1.0)
        answer = b"slow"
    else:
        answer = f"{environ['wsgi.url_scheme']} {environ['SCRIPT_NAME']}".encode()
    status = "413 Content Too Large" if path == "/refuse" else "200 OK"
    start_response(status, [("Content-Length", str(len(answer)))])
    return [answer]

limits = dict(argument.split("=") for argument in sys.argv[1:] if "=" in argument)
settings = Settings(port=0, connections_per_address=limits.pop("per_address", 800))
for name, value in limits.items():
    setattr(serve, name, int(value))
listener = serve.listen(settings)
print(listener.getsockname()[1], flush=True)
if "lifeline" in sys.argv:
    serve.stop_at_end_of_input()
serve.serve(settings, lambda: application, listener)
"""


class Server:
    def __init__(self, *arguments: str) -> None:
        argv = [sys.executable, "-c", SERVER, *arguments]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            dying_with_us(argv), env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin = self.process.stdin
        self.port = int(self.process.stdout.readline())

    def connect(self, address: str = "127.0.0.1") -> http.client.HTTPConnection:
        """A connection from one of this machine's own addresses."""
        return http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=20, source_address=(address, 0)
        )

    def ask(self, verb: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        with closing(self.connect()) as connection:
            return _ask(connection, verb, path, headers=headers)

    def stop(self) -> str:
        """Ask it to end; what it said on standard error."""
        self.process.terminate()
        return self.process.communicate(timeout=30)[1]


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    assert running.stop() == ""


def test_twenty_stalled_uploads_hold_up_nobody(server: Server) -> None:
    stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for upload in stalled:
        upload.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    time.sleep(0.2)

    status, _ = server.ask("GET", "/")

    assert status == 200
    for upload in stalled:
        upload.close()


def test_a_chunked_body_arrives_whole(server: Server) -> None:
    chunks = (b"x" * 1000 for _ in range(100))

    connection = server.connect()
    connection.request("POST", "/read", body=chunks, encode_chunked=True)

    assert connection.getresponse().read() == b"100000"
    connection.close()


@pytest.mark.parametrize("announced", ["Content-Length: 200000000", "Transfer-Encoding: chunked"])
def test_a_client_that_is_refused_early_reads_why_though_it_is_still_sending(
    server: Server, announced: str
) -> None:
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    client.sendall(f"POST /refuse HTTP/1.1\r\nHost: x\r\n{announced}\r\n\r\n".encode())
    sent = threading.Thread(target=_send_until_it_breaks, args=(client, 30_000_000))
    sent.start()
    sent.join()

    answer = b""
    while piece := client.recv(65536):
        answer += piece

    assert answer.startswith(b"HTTP/1.1 413")
    client.close()


def test_a_connection_survives_an_answer_that_ignored_a_small_body(server: Server) -> None:
    connection = server.connect()

    first = _ask(connection, "POST", "/refuse", body=b"{}")
    used = connection.sock
    second = _ask(connection, "GET", "/")

    assert (first[0], second[0]) == (413, 200)
    assert connection.sock is used
    connection.close()


def test_headers_of_a_stranger_change_no_address(server: Server) -> None:
    forged = {"X-Forwarded-Proto": "https", "SCRIPT_NAME": "/evil", "SCRIPT-NAME": "/evil"}

    _, body = server.ask("GET", "/", headers=forged)

    assert body == b"http "


def test_a_request_under_way_is_finished_when_the_server_stops(server: Server) -> None:
    connection = server.connect()
    connection.request("GET", "/slow")
    time.sleep(0.3)

    server.process.send_signal(signal.SIGTERM)

    assert connection.getresponse().read() == b"slow"
    connection.close()


def test_a_client_that_asks_for_nothing_more_does_not_hold_the_server_up(server: Server) -> None:
    with closing(server.connect()) as connection, closing(server.connect()) as silent:
        assert _ask(connection, "GET", "/")[0] == 200  # and is kept open for the next request
        silent.connect()

        server.process.send_signal(signal.SIGTERM)

        # far below the grace that requests under way have
        assert server.process.wait(timeout=serve.GRACE_SECONDS / 2) == 0


def test_a_stream_ends_when_the_server_stops(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.request("GET", "/stream")
        response = connection.getresponse()
        first = response.read(5)

        server.process.send_signal(signal.SIGTERM)

        assert first + response.read() == b"firstlast"
        # far below the grace that requests under way have
        assert server.process.wait(timeout=serve.GRACE_SECONDS / 2) == 0


def test_it_stops_when_the_last_writer_of_its_input_is_gone() -> None:
    server = Server("lifeline")
    assert server.ask("GET", "/")[0] == 200

    server.stdin.close()

    server.process.stdin = None
    assert server.process.communicate(timeout=20) == ("", "")
    assert server.process.returncode == 0


@contextmanager
def serving(**limits: int) -> Iterator[Server]:
    running = Server(*(f"{name}={value}" for name, value in limits.items()))
    yield running
    assert running.stop() == ""


@contextmanager
def clients(server: Server, number: int, sent: bytes, address: str = "127.0.0.1") -> Iterator[None]:
    """So many connections that have sent this."""
    with ExitStack() as stack:
        for _ in range(number):
            client = socket.create_connection(
                ("127.0.0.1", server.port), source_address=(address, 0), timeout=20
            )
            stack.enter_context(client).sendall(sent)
        yield


HALF_SENT = b"GET / HTTP/1.1\r\nHost: x\r\n"
STALLED = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"


@pytest.mark.parametrize("sent", [b"", HALF_SENT], ids=["nothing", "half-sent headers"])
def test_connections_without_a_request_hold_up_nobody(sent: bytes) -> None:
    with serving(CONNECTIONS=20) as server, clients(server, 50, sent):
        assert [server.ask("GET", "/")[0] for _ in range(30)] == [200] * 30


def test_with_every_connection_in_use_health_is_answered_and_others_are_told_to_come_back() -> None:
    with serving(CONNECTIONS=20) as server:
        with clients(server, 20, STALLED):
            wait_until(lambda: server.ask("GET", "/")[0] == 503, "all to be in use")

            with closing(server.connect()) as connection:
                connection.request("POST", "/read", body=b"x" * 100_000)
                refusal = connection.getresponse()
                problem = json.loads(refusal.read())

            assert [server.ask("GET", "/healthz")[0] for _ in range(20)] == [200] * 20
        wait_until(lambda: server.ask("GET", "/")[0] == 200, "connections to be free")

    assert (refusal.status, refusal.headers["Retry-After"], problem["code"]) == (503, "2", "busy")


def test_one_address_cannot_take_the_connections_of_others() -> None:
    with serving(CONNECTIONS=40, per_address=20) as server, clients(server, 60, STALLED):
        wait_until(lambda: server.ask("GET", "/")[0] == 503, "those of the address to be in use")

        with closing(server.connect("127.0.0.2")) as other:
            assert _ask(other, "GET", "/")[0] == 200


def test_streams_take_no_connection_that_other_requests_need() -> None:
    with serving(CONNECTIONS=20, per_address=10) as server, ExitStack() as stack:
        for _ in range(60):
            connection = stack.enter_context(closing(server.connect()))
            connection.request("GET", "/stream")
            assert connection.getresponse().read(5) == b"first"

        assert [server.ask("GET", "/")[0] for _ in range(30)] == [200] * 30


def test_headers_that_do_not_become_complete_end_the_connection() -> None:
    with serving(HEADER_SECONDS=1) as server, closing(server.connect()) as idle:
        assert _ask(idle, "GET", "/")[0] == 200

        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
            slow.sendall(HALF_SENT)
            ended = slow.recv(1)

        assert ended == b""
        assert _ask(idle, "GET", "/")[0] == 200  # it has time until it begins


def _ask(
    connection: http.client.HTTPConnection,
    verb: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    connection.request(verb, path, body=body, headers=headers or {})
    response = connection.getresponse()
    return response.status, response.read()


def _send_until_it_breaks(client: socket.socket, size: int) -> None:
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    left = size
    while left > 0:
        try:
            client.sendall(chunk)
        except OSError:
            return
        left -= len(chunk)
