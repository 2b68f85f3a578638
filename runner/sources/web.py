"""Ask a web server for something that a repository names, within the rules for its hosts.

A connection goes to the address that was looked at, so that a name which changes in between gains
nothing; behind a proxy names are the proxy's.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from runner.errors import SourceError
from runner.job import SourcePolicy
from runner.sources.repository import Limits
from runner.sources.url import Address, admit

_SECONDS = 30.0  # of silence
_MOST_HOPS = 3
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answered:
    _response: Any
    _limits: Limits

    def chunks(self, size: int) -> Iterator[bytes]:
        """Raises SourceError `web-unreachable`, and Stopped."""
        while True:
            self._limits.check("Fetching files of Git LFS")
            try:
                chunk: bytes = self._response.read(size)
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable(str(self._response.url), error) from error
            if not chunk:
                return
            yield chunk


@dataclass(frozen=True)
class Web:
    """Requests within one policy and one set of limits."""

    policy: SourcePolicy
    limits: Limits

    @contextmanager
    def ask(
        self, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[Answered]:
        """The answer. A GET follows a few redirects, to other hosts without the headers.

        Raises SourceError with the codes of admit, `web-refused` and `web-unreachable`.
        """
        given = dict(headers)
        for _ in range(_MOST_HOPS + 1):
            self.limits.check("Fetching files of Git LFS")
            address = admit(url, self.policy)
            if address.scheme not in ("http", "https"):
                raise SourceError("web-refused", f"{address.host or url!r} is no web server.")
            try:
                response = _opener(address).open(_request(address, given, body), timeout=_SECONDS)
            except urllib.error.HTTPError as refused:
                with refused:
                    to = refused.headers.get("Location")
                    if refused.code not in _MOVED or not to or body is not None:
                        raise _refused(address, refused.code) from None
                    url = urljoin(address.url, to)
                    given = given if _is_same_host(address, url, self.policy) else {}
            except (OSError, http.client.HTTPException) as error:
                raise _unreachable(address.url, error) from error
            else:
                with response:
                    yield Answered(response, self.limits)
                return
        raise SourceError("web-refused", f"{address.host} redirects too often.")


def _request(
    address: Address, headers: Mapping[str, str], body: bytes | None
) -> urllib.request.Request:
    return urllib.request.Request(address.url, body, dict(headers))  # noqa: S310 admitted


def _opener(address: Address) -> urllib.request.OpenerDirector:
    """One that follows nothing, with the proxies of the worker."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(address),
        _Https(address),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


class _Http(urllib.request.HTTPHandler):
    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(_pinned(http.client.HTTPConnection, self._address), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address

    def https_open(self, req: urllib.request.Request) -> Any:
        context = ssl.create_default_context()
        made = _pinned(http.client.HTTPSConnection, self._address)
        return self.do_open(made, req, context=context)


def _pinned(kind: type[http.client.HTTPConnection], address: Address) -> Any:
    """Make connections to an address that was looked at; to a proxy as it is named."""

    def connection(host: str, **options: Any) -> http.client.HTTPConnection:
        made = kind(host, **options)
        if made.host == address.host and address.resolved:
            create = made._create_connection  # type: ignore[attr-defined]  # noqa: SLF001
            made._create_connection = (  # type: ignore[attr-defined]  # noqa: SLF001
                lambda at, *rest: create((address.resolved[0], at[1]), *rest)
            )
        return made

    return connection


def _is_same_host(address: Address, url: str, policy: SourcePolicy) -> bool:
    to = admit(url, policy)
    return (to.scheme, to.host, to.port) == (address.scheme, address.host, address.port)


def _refused(address: Address, code: int) -> SourceError:
    why = "check the credential" if code in (401, 403) else "check that it is there"
    return SourceError("web-refused", f"{address.host} answers {code}: {why}.")


def _unreachable(url: str, error: Exception) -> SourceError:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    reason = str(getattr(error, "reason", error) or type(error).__name__)
    return SourceError("web-unreachable", f"{host} cannot be read: {reason}.")
