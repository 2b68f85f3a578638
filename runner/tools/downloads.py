"""Fetch files from publishers of tools and their mirrors: over https, of a limited size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from runner.errors import Stopped, ToolError

Stop = Callable[[], object]  # true when it has to stop

_REDIRECTS = 5
_TIMEOUTS = (15.0, 60.0)  # to connect, and to wait for the next bytes
_CHUNK_BYTES = 1 << 18
_REDIRECTED = (301, 302, 303, 307, 308)


def never() -> bool:
    return False


def fetch(url: str, most_bytes: int) -> bytes | None:
    """The content of a file, None if it is not there. Raises ToolError as `pieces`."""
    with _opened(url) as answer:
        if answer is None:
            return None
        return b"".join(_read(answer, url, most_bytes, never))


@contextmanager
def pieces(url: str, most_bytes: int, stop: Stop) -> Iterator[Iterator[bytes] | None]:
    """The content of a file as it arrives, None if it is not there.

    Raises ToolError `download-failed` or `download-insecure`, and Stopped.
    """
    with _opened(url) as answer:
        yield None if answer is None else _read(answer, url, most_bytes, stop)


def shown(url: str) -> str:
    """The address without a login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _opened(url: str) -> Iterator[requests.Response | None]:
    """The answer after all redirects. Proxies are those of the environment."""
    with requests.Session() as session:
        target = url
        for _ in range(_REDIRECTS + 1):
            answer = _asked(session, target)
            with answer:
                if answer.status_code in _REDIRECTED:
                    target = _next(url, urljoin(target, answer.headers.get("Location", "")))
                    continue
                yield _found(answer, target)
                return
    raise _failed(url, "it is redirected again and again")


def _asked(session: requests.Session, url: str) -> requests.Response:
    headers = {"Accept-Encoding": "identity", "User-Agent": "stateroom"}
    try:
        return session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=_TIMEOUTS
        )
    except (requests.RequestException, ValueError) as error:
        raise _failed(url, type(error).__name__) from None


def _next(first: str, target: str) -> str:
    """Where a redirect leads. Only a mirror that was given with http:// stays at that, itself."""
    here, there = urlsplit(first), urlsplit(target)
    is_same = (here.scheme, here.netloc.rpartition("@")[2]) == (there.scheme, there.netloc)
    if there.scheme != "https" and not is_same:
        raise ToolError(
            "download-insecure",
            f"{shown(first)} redirects to {shown(target)}, which is not https: nothing was "
            "installed.",
        )
    return target


def _found(answer: requests.Response, url: str) -> requests.Response | None:
    if answer.status_code in (404, 410):
        return None
    if answer.status_code != 200:
        raise _failed(url, f"the server answers {answer.status_code}")
    return answer


def _read(answer: requests.Response, url: str, most_bytes: int, stop: Stop) -> Iterator[bytes]:
    count = 0
    try:
        for piece in answer.iter_content(_CHUNK_BYTES):
            count += len(piece)
            if count > most_bytes:
                raise _failed(url, f"it is larger than {most_bytes} bytes")
            if stop():
                raise Stopped("canceled", "The run was canceled while its tool was installed.")
            yield piece
    except requests.RequestException as error:
        raise _failed(url, type(error).__name__) from None
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and count != int(announced):
        raise _failed(url, f"it ended after {count} of {announced} bytes")


def _failed(url: str, why: str) -> ToolError:
    return ToolError("download-failed", f"{shown(url)} could not be fetched: {why}.")
