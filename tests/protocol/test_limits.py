"""Rule 12 of the protocol: at a real server with a small limit, byte by byte.

The rules that every client can see are in client/conformance; here is what looks inside.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.documents import state_document
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.wire import basic

LIMIT = 1_000_000
MAY_BE_IN_FLIGHT = 16_000_000  # what the sockets' buffers take before anybody reads


@pytest.fixture
def small(installations: Installations) -> Place:
    """A project on a server that accepts 1 MB."""
    return installations.place(max_state_bytes=LIMIT)


class Upload:
    """A request by hand, to see what the server does before all of it is sent."""

    def __init__(self, place: Place, *headers: str, verb: str = "POST") -> None:
        host = urlsplit(place.wire.url)
        self.socket = socket.create_connection((host.hostname or "", host.port or 80), timeout=20)
        described = "\r\n".join(
            [
                f"{verb} {place.state.path} HTTP/1.1",
                f"Host: {host.netloc}",
                f"Authorization: {basic(place.state.token)['Authorization']}",
                "Content-Type: application/json",
                *headers,
            ]
        )
        self.socket.sendall(described.encode() + b"\r\n\r\n")

    def status(self) -> int:
        """Of the answer; 0 when the connection ends without one."""
        answer = b""
        try:
            while b"\r\n" not in answer:
                piece = self.socket.recv(4096)
                if not piece:
                    return 0
                answer += piece
        except ConnectionError:
            return 0
        return int(answer.split()[1])

    def send_chunks(self, most: int) -> int:
        """Send chunks until the server has had enough; how many bytes went."""
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        sent = 0
        try:
            while sent < most:
                self.socket.sendall(chunk)
                sent += len(chunk)
                if self._answered():
                    break
        except (ConnectionError, TimeoutError):
            return sent
        return sent

    def _answered(self) -> bool:
        self.socket.setblocking(False)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(20)

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def uploads() -> Iterator[list[Upload]]:
    started: list[Upload] = []
    yield started
    for upload in started:
        upload.close()


def test_a_state_above_the_limit_is_refused_before_it_is_sent(
    small: Place, uploads: list[Upload]
) -> None:
    upload = Upload(small, f"Content-Length: {LIMIT + 1}")
    uploads.append(upload)

    assert upload.status() == 413
    assert small.state.read().status == 404


def test_a_chunked_state_is_refused_once_it_is_above_the_limit(
    small: Place, uploads: list[Upload]
) -> None:
    upload = Upload(small, "Transfer-Encoding: chunked")
    uploads.append(upload)

    sent = upload.send_chunks(10 * MAY_BE_IN_FLIGHT)

    assert sent < LIMIT + MAY_BE_IN_FLIGHT
    assert upload.status() == 413
    assert small.state.read().status == 404


def test_a_refusal_for_its_size_arrives_at_a_client_that_sends_all_of_it(small: Place) -> None:
    refused = small.state.write(state_document(size=3 * LIMIT))

    assert refused.status == 413
    assert refused.json()["limit_bytes"] == LIMIT


def test_a_state_of_just_the_limit_is_accepted(small: Place) -> None:
    body = state_document(size=LIMIT - 1000)
    body += b" " * (LIMIT - len(body))

    accepted = small.state.write(body)

    assert accepted.status == 200
    assert small.state.read().body == body
