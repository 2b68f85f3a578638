"""Send requests as terraform's Go client does, header by header. Redirects are not followed."""

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

SECONDS = 30.0  # time-out for the next byte; terraform itself would wait for ever
AGENT = "Go-http-client/1.1"
ANOTHER_NAME = (62, 64)
EXPIRED = (9, 10)

Body = bytes | Iterable[bytes] | None


class Broken(Exception):
    """There was no answer. The message says why, and `do` what to check."""

    def __init__(self, message: str, do: str) -> None:
        super().__init__(message)
        self.message = message
        self.do = do


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)  # decompressed, as Go returns it

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty if there is none."""
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
        """The `code` of Stateroom's error; empty if somebody else answered."""
        is_ours = self.headers.get("content-type", "").startswith("application/problem+json")
        return str(self.fields.get("code", "")) if is_ours else ""


class Wire:
    """Sends requests to one host, each on a new connection."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        """Take scheme and host from `url`, and ignore its path."""
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
        """Send exactly this request, and return the answer. Pieces go chunked. Raises Broken."""
        chunked = body is not None and not isinstance(body, bytes)
        described = _described(body, chunked=chunked) | dict(headers or {})
        with self.open(verb, path, described) as exchange:
            if isinstance(body, bytes):
                exchange.send(body)
            elif body is not None:
                exchange.send_chunks(body)
            return exchange.answer()

    def open(self, verb: str, path: str, headers: Mapping[str, str]) -> Exchange:
        """Send the head of a request. The caller sends the body. Raises Broken."""
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
    """A request whose head was sent. Use it as a context manager."""

    def __init__(self, wire: Wire, connection: http.client.HTTPConnection) -> None:
        self._wire = wire
        self._connection = connection
        self._broken: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, piece: bytes) -> None:
        """Send bytes, also if the server has already answered and closed the connection."""
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
        """Whether an answer, or the end of the connection, arrives within this time."""
        connected = self._connection.sock
        if isinstance(connected, ssl.SSLSocket) and connected.pending():
            return True
        return bool(select.select([connected], [], [], seconds)[0])

    def answer(self) -> Answer:
        """Read the answer. Raises Broken."""
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
            "Use http://, or another port, or configure TLS in the proxy.",
        )
    if isinstance(error, socket.gaierror):
        return Broken(
            f"The name {where.rpartition(':')[0]} is not known ({error.strerror}).",
            "Check the spelling and the DNS record.",
        )
    if isinstance(error, TimeoutError):
        return Broken(
            f"{where} sent nothing for {seconds:g} s.",
            "Either a firewall drops packets, or a proxy buffers whole bodies, or the server is "
            "stuck: look at the proxy's log, then at /readyz on the server itself.",
        )
    if isinstance(error, ConnectionRefusedError):
        return Broken(
            f"Nothing listens at {where}.",
            "Check that the server (or its proxy) is started, and that the port is right.",
        )
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return Broken(
        f"{where} closed the connection before the end of the answer ({reason}).",
        "Look at the logs of the proxy and of the server: one of them gave up.",
    )


def _untrusted(error: ssl.SSLCertVerificationError, where: str) -> Broken:
    if error.verify_code in ANOTHER_NAME:
        return Broken(
            f"The certificate of {where} is for another name ({error.verify_message}).",
            "Use the name in the certificate, or issue a certificate for this name.",
        )
    if error.verify_code in EXPIRED:
        return Broken(
            f"The certificate of {where} is not valid now ({error.verify_message}).",
            "Renew it. If it is new, check the clock of this machine.",
        )
    return Broken(
        f"The certificate of {where} is not signed by an authority that this machine trusts "
        f"({error.verify_message}).",
        "Let the proxy send the intermediate certificates too. For your own authority set "
        "SSL_CERT_FILE here and on the laptops (or terraform's client_ca_certificate_pem). Do not "
        "use skip_cert_verification.",
    )
