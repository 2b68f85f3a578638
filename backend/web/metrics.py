"""/metrics for Prometheus, and counting the requests of all processes of a server."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

from backend.errors import Unauthorised
from backend.sealing.crypto import token_hash
from backend.upkeep import metrics
from backend.web.current import EXTENSION, installation

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Count = Callable[[str, str, int], None]  # gets the route, method and status of a request

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LOCK", "UNLOCK"))


def install(app: Flask) -> Count | None:
    """Answer /metrics and count Flask's requests. Returns a function that counts other requests.

    Without a token in the settings nothing is counted, there is no /metrics, and it returns None.
    """
    if not app.extensions[EXTENSION].settings.metrics_token:
        return None
    requests = _Requests()

    def seen(response: Response) -> Response:
        route = "unmatched" if request.url_rule is None else request.url_rule.rule
        requests.count(route, request.method, response.status_code)
        return response

    app.after_request(seen)
    app.add_url_rule("/metrics", "metrics", lambda: _answer(requests))
    return requests.count


def _answer(requests: _Requests) -> Response:
    here = installation()
    _check(here.settings.metrics_token)
    with here.itself.reading() as tx:
        found = list(metrics.collect(tx))
    text = generate_latest(_Once(found)) + generate_latest(requests.registry())
    return Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _check(expected: str) -> None:
    """Check the token. Raises Unauthorised. Comparing hashes takes the same time for all tokens."""
    given = request.authorization
    secret = given.token if given is not None and given.type == "bearer" else None
    if not hmac.compare_digest(token_hash(secret or ""), token_hash(expected)):
        raise Unauthorised("Send the token of STATEROOM_METRICS_TOKEN as Bearer.")


class _Requests:
    """Counts in memory, or with PROMETHEUS_MULTIPROC_DIR in a file for each process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._total = Counter(
            "stateroom_http_requests",
            "Requests that were answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )

    def count(self, route: str, method: str, status: int) -> None:
        known = method if method in _METHODS else "other"
        self._total.labels(route, known, status).inc()

    def registry(self) -> CollectorRegistry:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return self._registry
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all)  # type: ignore[no-untyped-call]
        return of_all


class _Once(CollectorRegistry):
    """A registry with the metrics that were collected for one answer."""

    def __init__(self, found: list[Metric]) -> None:
        super().__init__()
        self._found = found

    def collect(self) -> Iterator[Metric]:
        yield from self._found
