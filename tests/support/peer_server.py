"""A peer on a socket: reads bodies as it should, or breaks the rules about them too."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.peer import Peer, Redirect, Refusal, Reply, Request

LIMIT = 1_000_000_000  # bytes
VERBS = "GET POST PUT DELETE LOCK UNLOCK HEAD PATCH MKCOL PROPFIND OPTIONS"


@contextmanager
def serving(*faults: str) -> Iterator[str]:
    """Such a server on loopback; its URL."""
    server = _Listener(Peer(*faults))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, peer: Peer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.peer = peer

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Cut(Exception):
    """The body ended early."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def handle_one(self) -> None:
        peer = self.server.peer
        try:
            body = self._body(peer)
        except Refusal as refusal:
            self.close_connection = True
            self._say(Reply(refusal.status))
            return
        except Cut:
            self.close_connection = True
            return
        split = urlsplit(f"http://peer{self.path}")
        given = parse_qs(split.query).get("ID", [None])[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, split.path, given, headers, body)
        try:
            reply = peer.answer(request)
        except Redirect as redirect:
            reply = Reply(301, headers={"Location": redirect.to})
        self._say(reply)

    def _body(self, peer: Peer) -> bytes:
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        length = int(self.headers.get("Content-Length") or 0)
        if peer.broken("the head with the body") and length:
            assert isinstance(self.rfile, BufferedReader)
            self.rfile.peek(1)
        if length > (20_000_000 if peer.broken("a small limit") else LIMIT):
            if peer.broken("reads everything"):
                time.sleep(2.5)
            raise Refusal(413)
        if length > 1_000_000 and peer.broken("1 MB"):
            self.rfile.read(length)
            raise Refusal(413)
        if peer.broken("impatient"):
            self.connection.settimeout(0.1)
        if peer.broken("no Expect") and "Expect" in self.headers:
            raise Refusal(417)
        try:
            body, whole = self._chunks() if chunked else self._counted(length)
        except TimeoutError:
            raise Cut from None
        if not whole and not peer.broken("keeps what is cut"):
            raise Cut
        return body

    def _counted(self, length: int) -> tuple[bytes, bool]:
        body = self.rfile.read(length)
        return body, len(body) == length

    def _chunks(self) -> tuple[bytes, bool]:
        pieces = []
        while line := self.rfile.readline():
            size = int(line.split(b";")[0], 16)
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
            if size == 0:
                return b"".join(pieces), True
        return b"".join(pieces), False

    def _say(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 its name there
        """Print nothing."""


for _verb in VERBS.split():
    setattr(_Handler, f"do_{_verb}", _Handler.handle_one)
