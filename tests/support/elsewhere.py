"""Backends that are not ours: where states come from, and where they go."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import boto3
import psycopg
import requests

from tests.support.place import Place
from tests.support.processes import Process, free_port, wait_until
from tests.support.tools import Checkout, Tool

S3_WITHOUT_A_CLOUD = (
    *("use_path_style", "skip_credentials_validation", "skip_metadata_api_check"),
    *("skip_region_validation", "skip_requesting_account_id", "skip_s3_checksum"),
)


class Elsewhere(Protocol):
    """`block` is what a repository says, `variables` what a workspace needs for it."""

    kind: str
    block: str
    variables: dict[str, str]

    def stored(self) -> bytes | None:
        """The document of the default CLI workspace, as it lies there."""


class Pg:
    """Terraform's own pg backend, in a schema of its own."""

    kind = "backend:pg"

    def __init__(self, url: str) -> None:
        self.url = url
        self.schema = f"s{secrets.token_hex(4)}"
        self.block = (
            f'terraform {{\n  backend "pg" {{\n    schema_name = "{self.schema}"\n  }}\n}}\n'
        )
        self.variables = {"PG_CONN_STR": url}

    def stored(self) -> bytes | None:
        with psycopg.connect(self.url) as connection:
            query = f"SELECT data FROM {self.schema}.states WHERE name = 'default'".encode()
            try:
                row = connection.execute(query).fetchone()
            except psycopg.errors.UndefinedTable:
                return None
        return None if row is None else str(row[0]).encode()


class S3:
    """A bucket of its own on a moto server."""

    kind = "backend:s3"

    def __init__(self, url: str) -> None:
        self.url = url
        self.bucket = f"states-{secrets.token_hex(4)}"
        self._client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="somebody",
            aws_secret_access_key="very-secret-of-s3",
        )
        self._client.create_bucket(Bucket=self.bucket)
        settings = "".join(f"    {flag} = true\n" for flag in S3_WITHOUT_A_CLOUD)
        self.block = (
            f'terraform {{\n  backend "s3" {{\n    bucket = "{self.bucket}"\n    key = "state"\n'
            f'    region = "us-east-1"\n    use_lockfile = true\n{settings}  }}\n}}\n'
        )
        self.variables = {
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "very-secret-of-s3",
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def stored(self) -> bytes | None:
        try:
            found: bytes = self._client.get_object(Bucket=self.bucket, Key="state")["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        return found


class Moto:
    def __init__(self, folder: Path) -> None:
        port = free_port()
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self.url = f"http://127.0.0.1:{port}"
        self._process = Process(argv, env={"HOME": str(folder)}, cwd=folder, log=folder / "moto")
        wait_until(self._answers, "moto to answer", seconds=60)

    def stop(self) -> None:
        self._process.kill()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/moto-api/", timeout=5).ok
        except requests.ConnectionError:
            return False


@dataclass
class Http:
    """A plain http backend, as GitLab's, that may keep somebody waiting."""

    kind = "backend:http"

    document: bytes | None = None
    seen: list[str] = field(default_factory=list)
    logins: set[str] = field(default_factory=set)
    _stalls: dict[tuple[str, int], threading.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/state"
        self.block = f'terraform {{\n  backend "http" {{\n    address = "{self.url}"\n  }}\n}}\n'
        self.variables = {"TF_HTTP_USERNAME": "ann", "TF_HTTP_PASSWORD": "secret-of-gitlab"}
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stall(self, verb: str, count: int) -> threading.Event:
        """The request of this verb with this number, from 1, waits until the event is set."""
        self._stalls[verb, count] = threading.Event()
        return self._stalls[verb, count]

    def stop(self) -> None:
        for stall in self._stalls.values():
            stall.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def stored(self) -> bytes | None:
        return self.document

    def note(self, verb: str, login: str) -> None:
        self.logins.add(login)
        self.seen.append(verb)
        if stall := self._stalls.get((verb, self.seen.count(verb))):
            stall.wait(60)


def _handler(backend: Http) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            backend.note("GET", self.headers.get("Authorization", ""))
            body = backend.document
            self._answer(404 if body is None else 200, body or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            backend.note("POST", self.headers.get("Authorization", ""))
            backend.document = body
            self._answer(200, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                return  # whoever asked was killed

    return Handler


def seed(tool: Tool, folder: Path, elsewhere: Elsewhere, module: str) -> Checkout:
    """A checkout with a state in that backend."""
    laptop = Checkout(tool, folder, module)
    laptop.write("backend.tf", elsewhere.block)
    laptop.environment = dict(elsewhere.variables)
    laptop.init()
    laptop.apply()
    return laptop


def give(place: Place, elsewhere: Elsewhere) -> None:
    """Give the workspace the credentials of that backend."""
    for name, value in elsewhere.variables.items():
        place.set_variable(name, value, kind="environment", sensitive="SECRET" in name)


def heading(document: bytes | None) -> tuple[str, int]:
    """Lineage and serial."""
    assert document is not None
    parsed = json.loads(document)
    return parsed["lineage"], parsed["serial"]


def resources(document: bytes | None) -> Any:
    assert document is not None
    return json.loads(document)["resources"]
