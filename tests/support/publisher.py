"""A publisher of tools: a web server with the files of releases, and a key of its own."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import stat
import threading
import zipfile
from pathlib import Path

import pysequoia

from runner.tools import releases

_SIGNATURES = {"terraform": "sig", "tofu": "gpgsig"}


def new_key(name: str) -> pysequoia.Tsk:
    """A key of the kind that publishers have. Making one takes a second."""
    return pysequoia.Tsk.generate(name, cipher_suite=pysequoia.CipherSuite.RSA3k)


def write_public(key: pysequoia.Tsk, file: Path) -> Path:
    file.write_text(str(key.extract_certificate()), encoding="ascii")
    return file


def signed(document: bytes, key: pysequoia.Tsk) -> bytes:
    mode = pysequoia.SignatureMode.DETACHED
    return pysequoia.sign(key.signer(), document, mode=mode, armor=False)


def program(version: str) -> bytes:
    """A tool that only says its version."""
    said = json.dumps({"terraform_version": version})
    return f"#!/bin/sh\necho '{said}'\n".encode()


def archive(name: str, content: bytes, **more: bytes) -> bytes:
    """What a release is packed in; `more` are other files of it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, body in {"LICENSE.txt": b"a licence", name: content, **more}.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (stat.S_IFREG | 0o755) << 16
            packed.writestr(entry, body)
    return written.getvalue()


class Publisher:
    """Serves `files`, each by its path. `redirects` lead elsewhere, `cut` ones end too early."""

    def __init__(self, key: pysequoia.Tsk) -> None:
        self.key = key
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, name: str, version: str, packed: bytes | None = None) -> str:
        """Publish a release for this machine; the path of its archive."""
        file = f"{name}_{version}_{releases.this_platform()}.zip"
        packed = archive(name, program(version)) if packed is None else packed
        self.files[f"/{name}/{version}/{file}"] = packed
        self.sign(name, version, {file: hashlib.sha256(packed).hexdigest()})
        self._list(name)
        return f"/{name}/{version}/{file}"

    def sign(
        self, name: str, version: str, sums: dict[str, str], key: pysequoia.Tsk | None = None
    ) -> None:
        lines = "".join(f"{value}  {file}\n" for file, value in sums.items()).encode()
        base = self.sums(name, version)
        self.files[base] = lines
        self.files[f"{base}.{_SIGNATURES[name]}"] = signed(lines, key or self.key)

    def sums(self, name: str, version: str) -> str:
        return f"/{name}/{version}/{name}_{version}_SHA256SUMS"

    def signature(self, name: str, version: str) -> str:
        return f"{self.sums(name, version)}.{_SIGNATURES[name]}"

    def _list(self, name: str) -> None:
        """As releases.hashicorp.com and get.opentofu.org list them."""
        mine = [path.split("/")[2:] for path in self.files if path.startswith(f"/{name}/")]
        found: dict[str, list[str]] = {}
        for version, file in (parts for parts in mine if len(parts) == 2):
            found.setdefault(version, []).append(file)
        if name == "tofu":
            listed = {"versions": [{"id": v, "files": f} for v, f in found.items()]}
            self.files["/tofu/api.json"] = json.dumps(listed).encode()
            return
        versions = {v: {"builds": [{"filename": f} for f in fs]} for v, fs in found.items()}
        self.files["/terraform/index.json"] = json.dumps(
            {"name": "terraform", "versions": versions}
        ).encode()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked.append(self.path)
                if target := publisher.redirects.get(self.path):
                    self.send_response(302)
                    self.send_header("Location", target)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = publisher.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                is_cut = self.path in publisher.cut
                self.wfile.write(body[: len(body) // 2] if is_cut else body)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
                pass

        return Handler
