"""A registry of providers over https: discovery, versions, packages, checksums, a signature."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import ssl
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.openpgp import SigningKey

PLATFORM = "linux_amd64"
OTHER_PLATFORM = "darwin_arm64"


class Registry:
    """Serves what was published. `asked` has the path of every request."""

    def __init__(self, certificate: Path) -> None:
        self.certificate = certificate
        self.asked: list[str] = []
        self.refusals: Counter[str] = Counter()  # requests to refuse with 429, by a part of a path
        self.is_away = False  # then connections end without an answer
        self._key = SigningKey()
        self._packages: dict[tuple[str, str, str, str], bytes] = {}
        self.server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"served": self})
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def publish(
        self, name: str, version: str, program: bytes = b"#!/bin/true\n", *others: str
    ) -> None:
        """A provider NAMESPACE/TYPE for our platform, and for the others that are named."""
        namespace, kind = name.split("/")
        for platform in (PLATFORM, *others):
            file = f"terraform-provider-{kind}_v{version}"
            self._packages[namespace, kind, version, platform] = _zipped(file, program, platform)

    def withdraw(self, name: str, version: str) -> None:
        namespace, kind = name.split("/")
        for key in [k for k in self._packages if k[:3] == (namespace, kind, version)]:
            del self._packages[key]

    def downloads(self) -> list[str]:
        """The packages that were fetched."""
        return [path for path in self.asked if path.endswith(".zip")]

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        for part, left in self.refusals.items():
            if part in path and left > 0:
                self.refusals[part] -= 1
                return 429, b"slow down"
        if path == "/.well-known/terraform.json":
            return 200, json.dumps({"providers.v1": "/v1/providers/"}).encode()
        words = path.strip("/").split("/")
        if words[:2] == ["v1", "providers"]:
            return self._of_protocol(words[2:])
        return self._file(words)

    def _of_protocol(self, words: list[str]) -> tuple[int, bytes]:
        if len(words) == 3 and words[2] == "versions":
            return self._versions(words[0], words[1])
        if len(words) == 6 and words[3] == "download":
            return self._download((words[0], words[1], words[2], f"{words[4]}_{words[5]}"))
        return 404, b"{}"

    def _versions(self, namespace: str, kind: str) -> tuple[int, bytes]:
        of_provider = [key for key in self._packages if key[:2] == (namespace, kind)]
        if not of_provider:
            return 404, b'{"errors":["Not Found"]}'
        found: dict[str, list[dict[str, str]]] = {}
        for _, _, version, platform in of_provider:
            os, arch = platform.split("_")
            found.setdefault(version, []).append({"os": os, "arch": arch})
        versions = [
            {"version": version, "protocols": ["5.0"], "platforms": platforms}
            for version, platforms in found.items()
        ]
        return 200, json.dumps({"versions": versions}).encode()

    def _download(self, key: tuple[str, str, str, str]) -> tuple[int, bytes]:
        if key not in self._packages:
            return 404, b"{}"
        namespace, kind, version, platform = key
        file = f"terraform-provider-{kind}_{version}_{platform}.zip"
        base = f"https://{self.host}/files/{namespace}/{kind}/{version}"
        told: dict[str, Any] = {
            "protocols": ["5.0"],
            "os": platform.split("_")[0],
            "arch": platform.split("_")[1],
            "filename": file,
            "download_url": f"{base}/{platform}/{file}",
            "shasums_url": f"{base}/SHA256SUMS",
            "shasums_signature_url": f"{base}/SHA256SUMS.sig",
            "shasum": hashlib.sha256(self._packages[key]).hexdigest(),
            "signing_keys": {
                "gpg_public_keys": [{"key_id": self._key.key_id, "ascii_armor": self._key.public()}]
            },
        }
        return 200, json.dumps(told).encode()

    def _file(self, words: list[str]) -> tuple[int, bytes]:
        if words[0] != "files" or len(words) < 5:
            return 404, b""
        namespace, kind, version = words[1:4]
        if words[4] == "SHA256SUMS":
            return 200, self._sums(namespace, kind, version)
        if words[4] == "SHA256SUMS.sig":
            return 200, self._key.sign(self._sums(namespace, kind, version))
        found = self._packages.get((namespace, kind, version, words[4]))
        return (404, b"") if found is None else (200, found)

    def _sums(self, namespace: str, kind: str, version: str) -> bytes:
        lines = [
            f"{hashlib.sha256(content).hexdigest()}  terraform-provider-{kind}_{version}_{key[3]}.zip"
            for key, content in sorted(self._packages.items())
            if (content_of := key[:3]) == (namespace, kind, version) and content_of
        ]
        return "".join(f"{line}\n" for line in lines).encode()


class _Handler(BaseHTTPRequestHandler):
    served: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.served.is_away:
            self.close_connection = True
            return
        status, body = self.served.answer(self.path)
        self.send_response(status)
        kind = "application/zip" if self.path.endswith(".zip") else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def registry(certificate: Path) -> Iterator[Registry]:
    """Serve until the block ends. A client has to trust the certificate: SSL_CERT_FILE."""
    served = Registry(certificate)
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        served.server.server_close()
        thread.join()


def _zipped(name: str, program: bytes, platform: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o100755 << 16
        archive.writestr(info, program + platform.encode() + b"\n")
        archive.writestr("LICENSE.txt", "Do what you like with it.\n")
    return made.getvalue()
