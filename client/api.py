"""A client of the API. Every failure is an error with a message of one line."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import quote

import click

from client import sse
from client.sse import Event
from client.text import printable

if TYPE_CHECKING:
    import requests

PREFIX = "/api/v1"
SECONDS = (10.0, 300.0)  # time-outs: to connect; to wait for the next byte
STREAM_SECONDS = (10.0, 20.0)  # a stream of events says every 10 seconds that it is alive
NO_STREAM = "no-stream"
PAGE = 200
CHUNK = 1 << 20

Item = dict[str, Any]
Events = Iterator[Event | None]


class RequestRefused(click.ClickException):
    """The server refused the request, or gave no usable answer. The exit status is 1.

    `status` is 0 when there was no answer; `problem` is what the server said, and `code` its code.
    """

    exit_code = 1

    def __init__(
        self, message: str, status: int = 0, code: str = "", problem: Item | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problem = problem or {}


def path(*parts: object) -> str:
    """Join names to a path: /a/b/c. Raises UsageError for a name that would change the path."""
    names = [str(part) for part in parts]
    for name in names:
        if name in {"", ".", ".."}:
            raise click.UsageError(f"{name!r} is not a name.")
    return "".join("/" + quote(name, safe="") for name in names)


class Api:
    """The API of one server. Every call raises RequestRefused unless it succeeds.

    Redirects are not followed. Use it as a context manager, which closes the connection.
    """

    def __init__(self, url: str, token: str, page: int = PAGE) -> None:
        """`page` is the number of items in one request of a list. An empty token is not sent."""
        self.url = url
        self.seconds = SECONDS
        self._token = token
        self.page = page

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        if "_session" in vars(self):
            self._session.close()

    def completed(self, path: str) -> str:
        """The path as it is asked for."""
        return path

    def get(self, path: str, **query: object) -> Item:
        return self._object(self._send("GET", path, params=query))

    def items(self, path: str, **query: object) -> Iterator[Item]:
        """All items of a list, page by page. Parameters of None are left out."""
        more, cursor = True, None
        while more:
            answer = self._send("GET", path, params=query | {"cursor": cursor, "limit": self.page})
            page = self._object(answer)
            if not isinstance(page.get("items"), list):
                raise RequestRefused(_not_ours(self.url, answer), answer.status_code)
            yield from page["items"]
            cursor = page.get("next_cursor")
            more = cursor is not None

    def post(self, path: str, body: Mapping[str, object] | None = None, **query: object) -> Item:
        """Fields of None are left out. An empty answer is returned as {}."""
        return self._object(self._send("POST", path, json=_given(body), params=query))

    def put(self, path: str, body: Mapping[str, object]) -> Item:
        return self._object(self._send("PUT", path, json=_given(body)))

    def patch(self, path: str, body: Mapping[str, object]) -> Item:
        """Every field is sent, because None removes a value."""
        return self._object(self._send("PATCH", path, json=dict(body)))

    def delete(self, path: str, **query: object) -> Item:
        return self._object(self._send("DELETE", path, params=query))

    def upload(self, path: str, document: bytes, **query: object) -> Item:
        """POST these bytes unchanged, with their Content-MD5."""
        digest = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest())
        headers = {"Content-Type": "application/json", "Content-MD5": digest.decode()}
        return self._object(self._send("POST", path, data=document, params=query, headers=headers))

    def download(self, path: str, to: IO[bytes], **query: object) -> int:
        """Write the bytes of the answer to a file as they arrive, and return their number.

        Also raises RequestRefused when they are incomplete. Then the file must not be used.
        """
        import requests  # noqa: PLC0415 see _session

        answer = self._send("GET", path, params=query, stream=True)
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            for piece in answer.iter_content(CHUNK):
                to.write(piece)
                digest.update(piece)
                size += len(piece)
        except requests.RequestException as error:
            raise RequestRefused(
                f"The answer of {self.url} ended early: {_reason(error)}"
            ) from None
        expected = answer.headers.get("Content-MD5")
        if expected not in {None, base64.b64encode(digest.digest()).decode()}:
            raise RequestRefused(
                "The answer was changed on the way: it does not match its Content-MD5."
            )
        return size

    def headers(self, path: str, **query: object) -> Mapping[str, str]:
        """The headers of what GET would answer."""
        return self._send("HEAD", path, params=query).headers

    @contextmanager
    def events(self, path: str, last_event_id: str = "", **query: object) -> Iterator[Events]:
        """Server-sent events as they come, and None while there are none; none at all for a 204.

        Also raises RequestRefused when the connection breaks (status 0), or when what comes is no
        stream of events (code `no-stream`).
        """
        headers = {"Accept": "text/event-stream"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        answer = self._send(
            "GET", path, params=query, headers=headers, stream=True, timeout=STREAM_SECONDS
        )
        with closing(answer):
            yield self._events(answer)

    def _events(self, answer: requests.Response) -> Events:
        import requests  # noqa: PLC0415 see _session

        if answer.status_code == 204:
            return
        if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise RequestRefused(_not_ours(self.url, answer), answer.status_code, NO_STREAM)
        try:
            yield from sse.events(answer.iter_content(None))
        except sse.NotAStream:
            raise RequestRefused(
                _not_ours(self.url, answer), answer.status_code, NO_STREAM
            ) from None
        except requests.RequestException as error:
            raise RequestRefused(
                f"The answer of {self.url} ended early: {_reason(error)}"
            ) from None

    @cached_property
    def _session(self) -> requests.Session:
        # imported here, because loading it would make `--help` slow
        import requests  # noqa: PLC0415

        session = requests.Session()
        session.auth = self._authorise  # otherwise requests would use ~/.netrc
        return session

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _object(self, answer: requests.Response) -> Item:
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RequestRefused(_not_ours(self.url, answer), answer.status_code)
        return found

    def _send(self, verb: str, path: str, **given: Any) -> requests.Response:
        import requests  # noqa: PLC0415 see _session

        given["params"] = _given(given.get("params"))
        path = self.completed(path)
        try:
            answer = self._session.request(
                verb,
                f"{self.url}{PREFIX}{path}",
                allow_redirects=False,
                **{"timeout": self.seconds} | given,
            )
        except requests.RequestException as error:
            raise RequestRefused(f"{self.url} does not answer: {_reason(error)}") from None
        if not 200 <= answer.status_code < 300:
            refusal = _refusal(self.url, answer)
            del answer  # otherwise the traceback of the error would keep its connection open
            raise refusal
        return answer


def _given(fields: Mapping[str, object] | None) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in (fields or {}).items() if value is not None}


def _refusal(url: str, answer: requests.Response) -> RequestRefused:
    status = answer.status_code
    try:
        problem = answer.json()
        detail, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, LookupError, TypeError):
        return RequestRefused(_not_ours(url, answer), status)
    message = f"{printable(detail)} ({status} {printable(code)})"
    return RequestRefused(message, status, code, problem)


def _not_ours(url: str, answer: requests.Response) -> str:
    if 300 <= answer.status_code < 400:
        where = printable(answer.headers.get("Location", "nowhere"))
        return f"{url} redirects to {where}: set STATEROOM_URL to where the server really is."
    said = f"{answer.status_code} {printable(answer.reason or '')}".strip()
    return f"{url} answers {said}, but not as Stateroom does: is it its address?"


def _reason(error: Exception) -> str:
    """The innermost error, which requests wraps several times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner  # type: ignore[assignment]  # what is raised here are Exceptions
    return printable(str(error) or type(error).__name__)
