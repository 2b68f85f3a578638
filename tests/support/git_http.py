"""git over http: `git http-backend` behind a small server with a login, redirects and a stall."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_OF_LFS = "RemoteAuth of-the-server"


class GitHttp:
    """Serves the repositories below `root`. `seen`: path and Authorization of every request."""

    def __init__(self, root: Path, login: tuple[str, str] | None, certificate: Path | None) -> None:
        self.root = root
        self.expected = _header(*login) if login else None
        self.seen: list[tuple[str, str | None]] = []
        self.speaks_version_2 = True  # without it only the tips of branches are given out
        self.lfs: dict[str, bytes] = {}  # objects of Git LFS by their ids, for every repository
        self.lfs_href = ""  # where downloads are sent to instead
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"served": self})
        )
        self.scheme = "http"
        if certificate:
            self.scheme = "https"
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def url(self, path: str) -> str:
        """Of a repository; `moved/…` is redirected to it, `stall/…` never answers."""
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}/{path}"


@contextlib.contextmanager
def git_http(
    root: Path, login: tuple[str, str] | None = None, certificate: Path | None = None
) -> Iterator[GitHttp]:
    """Serve until the block ends; over https with a certificate."""
    served = GitHttp(root, login, certificate)
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.released.set()
        served.server.shutdown()
        served.server.server_close()
        thread.join()


def certificate(path: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1, with its key, to a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stateroom tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def _header(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class _Handler(BaseHTTPRequestHandler):
    served: GitHttp

    def do_GET(self) -> None:
        self.served.seen.append((self.path, self.headers.get("Authorization")))
        if self.path.startswith("/stall/"):
            self.served.stalled.set()
            self.served.released.wait(60)
        elif self.path.startswith("/moved/"):
            self._empty(301, "Location", self.path.removeprefix("/moved"))
        elif self.path.startswith("/lfs-object/") and self.headers["Authorization"] == _OF_LFS:
            self._send(self.served.lfs[self.path.rpartition("/")[2]], "application/octet-stream")
        elif self.served.expected and self.headers.get("Authorization") != self.served.expected:
            self._empty(401, "WWW-Authenticate", 'Basic realm="git"')
        elif self.path.endswith("/info/lfs/objects/batch"):
            self._batch()
        else:
            self._answer()

    def _batch(self) -> None:
        """The batch API of Git LFS."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["operation"] == "download"
        objects = []
        for one in asked["objects"]:
            href = self.served.lfs_href or self.served.url(f"lfs-object/{one['oid']}")
            header = {"Authorization": _OF_LFS}
            if one["oid"] in self.served.lfs:
                found: dict[str, Any] = {"actions": {"download": {"href": href, "header": header}}}
            else:
                found = {"error": {"code": 404, "message": "Object does not exist"}}
            objects.append(one | found)
        said = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self._send(said, "application/vnd.git-lfs+json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def _empty(self, status: int, name: str, value: str) -> None:
        self.send_response(status)
        self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        done = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env=self._cgi(),
            stdout=subprocess.PIPE,
            check=True,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _cgi(self) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_PROJECT_ROOT": str(self.served.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "") * self.served.speaks_version_2,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }

    def log_message(self, *_: object) -> None:
        """Print nothing: `seen` has the requests."""
