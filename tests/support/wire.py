"""One way to send a request, whether to the application in this process or to a real server."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from flask import Flask

Body = bytes | Iterable[bytes] | None


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire(Protocol):
    url: str

    def send(
        self, verb: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send exactly this, follow nothing, and return what came. Pieces are sent chunked."""
        ...


class Application:
    """The Flask application itself, without a socket."""

    def __init__(self, app: Flask, url: str) -> None:
        self.url = url
        self._app = app
        self._client = app.test_client(use_cookies=False)

    def close(self) -> None:
        self._app.extensions["stateroom"].database.close()

    def send(
        self, verb: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        given = dict(headers or {})
        environ = {}
        if body is not None and not isinstance(body, bytes):
            body = b"".join(body)
            given["Transfer-Encoding"] = "chunked"
            environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
        path, _, query = path.partition("?")
        response = self._client.open(
            path,
            base_url=self.url,
            method=verb,
            query_string=query,
            data=body,
            headers=given,
            environ_overrides=environ,
            follow_redirects=False,
        )
        answered = {name.lower(): value for name, value in response.headers}
        return Answer(response.status_code, answered, response.data)


class Http:
    """A real server, one connection a request."""

    def __init__(self, url: str, seconds: float = 60.0) -> None:
        self.url = url
        self._host = urlsplit(url).netloc
        self._seconds = seconds

    def send(
        self, verb: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection(self._host, timeout=self._seconds)
        try:
            connection.request(
                verb,
                path,
                body=body,
                headers=dict(headers or {}),
                encode_chunked=body is not None and not isinstance(body, bytes),
            )
            response = connection.getresponse()
            answered = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, answered, response.read())
        finally:
            connection.close()


def basic(password: str, username: str = "anybody") -> dict[str, str]:
    return {
        "Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    }
