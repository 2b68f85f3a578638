"""Requests as terraform's Go client sends them, header by header; nothing is followed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import select
import socket
import ssl
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

SECONDS = 30.0  # without a byte; terraform itself would wait for ever
AGENT = "Go-http-client/1.1"
ANOTHER_NAME = (62, 64)
EXPIRED = (9, 10)

Body = bytes | Iterable[bytes] | None


class Broken(Exception):
    """No answer came. The message says why, `do` what to look at."""

    def __init__(self, message: str, do: str) -> None:
        super().__init__(message)
        self.message = message
        self.do = do


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)  # as Go hands it out: decompressed

    @property
    def fields(self) -> dict[str, Any]:
        """The body's JSON object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_compressed(self) -> bool:
        return "content-encoding" in self.headers

    @property
    def is_redirect(self) -> bool:
        return 300 <= self.status < 400 and self.status != 304

    @property
    def code(self) -> str:
        """Stateroom's own word for what is wrong; empty when somebody else answered."""
        is_ours = self.headers.get("content-type", "").startswith("application/problem+json")
        return str(self.fields.get("code", "")) if is_ours else ""


class Wire:
    """One host, one connection a request."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        """`url` has the scheme and the host; a path in it does not count."""
        parts = urlsplit(url)
        self.is_tls = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.is_tls else 80)
        self.netloc = parts.netloc.rpartition("@")[2]
        self.seconds = seconds

    @property
    def is_loopback(self) -> bool:
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    @property
    def origin(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.netloc}"

    def send(
        self, verb: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send exactly this and return what came; pieces are sent chunked. Raises Broken."""
        chunked = body is not None and not isinstance(body, bytes)
        described = _described(body, chunked=chunked) | dict(headers or {})
        with self.open(verb, path, described) as exchange:
            if isinstance(body, bytes):
                exchange.send(body)
            elif body is not None:
                exchange.send_chunks(body)
            return exchange.answer()

    def open(self, verb: str, path: str, headers: Mapping[str, str]) -> Exchange:
        """Send the head of a request; its body is up to the caller. Raises Broken."""
        connection = self._connection()
        try:
            connection.putrequest(verb, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", self.netloc)
            connection.putheader("User-Agent", AGENT)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.putheader("Accept-Encoding", "gzip")
            connection.endheaders()
        except OSError as error:
            connection.close()
            raise self._why(error) from None
        return Exchange(self, connection)

    def _connection(self) -> http.client.HTTPConnection:
        if not self.is_tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.seconds)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=self.seconds, context=context
        )

    def _why(self, error: BaseException) -> Broken:
        return _why(error, f"{self.host}:{self.port}", self.seconds)


class Exchange:
    """A request under way. Use it in a `with`."""

    def __init__(self, wire: Wire, connection: http.client.HTTPConnection) -> None:
        self._wire = wire
        self._connection = connection
        self._broken: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, piece: bytes) -> None:
        """A server may answer and hang up before it has read everything: that is no error."""
        if self._broken is None and piece:
            try:
                self._connection.send(piece)
            except OSError as error:
                self._broken = error

    def send_chunks(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if piece:
                self.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.send(b"0\r\n\r\n")

    def has_answer(self, seconds: float) -> bool:
        """Something (or the end of the connection) comes within this time."""
        connected = self._connection.sock
        if isinstance(connected, ssl.SSLSocket) and connected.pending():
            return True
        return bool(select.select([connected], [], [], seconds)[0])

    def answer(self) -> Answer:
        """Raises Broken."""
        try:
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._wire._why(self._broken or error) from None  # noqa: SLF001 one thing in two classes
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, _as_go_reads(headers, body))


def md5_of(body: bytes) -> str:
    """The value of Content-MD5."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def basic(username: str, password: str) -> dict[str, str]:
    said = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {said}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _described(body: Body, *, chunked: bool) -> dict[str, str]:
    if chunked:
        return {"Transfer-Encoding": "chunked"}
    return {} if body is None else {"Content-Length": str(len(bytes(body)))}  # type: ignore[arg-type]


def _as_go_reads(headers: Mapping[str, str], body: bytes) -> bytes:
    if headers.get("content-encoding") != "gzip" or not body:
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return body


def _why(error: BaseException, where: str, seconds: float) -> Broken:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, where)
    if isinstance(error, ssl.SSLError):
        return Broken(
            f"{where} does not speak TLS ({error.reason or error}).",
            "Is it http:// that you mean, or another port? Else the proxy has no TLS here.",
        )
    if isinstance(error, socket.gaierror):
        return Broken(
            f"The name {where.rpartition(':')[0]} is not known ({error.strerror}).",
            "Look at the spelling and at the DNS record.",
        )
    if isinstance(error, TimeoutError):
        return Broken(
            f"{where} was silent for {seconds:g} s.",
            "A firewall drops packets, a proxy waits for a whole body that it buffers, or the "
            "server is stuck: look at the proxy's log, then at /readyz on the server itself.",
        )
    if isinstance(error, ConnectionRefusedError):
        return Broken(
            f"Nothing listens at {where}.",
            "Is the server (or its proxy) started, and the port right?",
        )
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Broken(
        f"{where} ended the connection without a whole answer ({reason}).",
        "Look at the log of the proxy: it, or the server behind it, gave up in the middle.",
    )


def _untrusted(error: ssl.SSLCertVerificationError, where: str) -> Broken:
    if error.verify_code in ANOTHER_NAME:
        return Broken(
            f"The certificate of {where} is for another name ({error.verify_message}).",
            "Use the name that is in the certificate, or issue one for this name.",
        )
    if error.verify_code in EXPIRED:
        return Broken(
            f"The certificate of {where} is not valid now ({error.verify_message}).",
            "Renew it; if it is fresh, the clock of this machine is wrong.",
        )
    return Broken(
        f"The certificate of {where} is not signed by an authority that this machine trusts "
        f"({error.verify_message}).",
        "Let the proxy send the intermediate certificates too; for an authority of your own set "
        "SSL_CERT_FILE here and on the laptops (terraform's client_ca_certificate_pem does as "
        "well). Never skip_cert_verification.",
    )
