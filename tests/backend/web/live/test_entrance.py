"""How viewers are let in, with an application that answers when the test says so."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from backend.web.live import entrance
from backend.web.live.entrance import AT_ONCE, Entrance
from tests.support.processes import wait_until


class Slow:
    """An application that answers viewers once they may go on, and others at once."""

    def __init__(self) -> None:
        self.inside, self.most_inside = 0, 0
        self.may_go_on = threading.Event()
        self._counting = threading.Lock()

    def __call__(self, environ: Any, start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/events":
            with self._counting:
                self.inside += 1
                self.most_inside = max(self.most_inside, self.inside)
            self.may_go_on.wait()
            with self._counting:
                self.inside -= 1
        return Response("answered")(environ, start)


@contextmanager
def viewers(app: Slow, count: int) -> Iterator[tuple[Client, list[Future[Any]]]]:
    """A client, after this many viewers have come and as many as may are inside."""
    client = Client(Entrance(app, lambda path: path == "/events"))
    with ThreadPoolExecutor(count) as threads:
        try:
            coming = [threads.submit(client.get, "/events") for _ in range(count)]
            wait_until(lambda: app.inside == AT_ONCE, "viewers to be inside", every=0.01)
            yield client, coming
        finally:
            app.may_go_on.set()


def test_viewers_are_let_in_a_few_at_a_time() -> None:
    app = Slow()

    with viewers(app, 20) as (_, coming):
        app.may_go_on.set()
        answers = [one.result() for one in coming]

    assert [one.status_code for one in answers] == [200] * 20
    assert app.most_inside == AT_ONCE


def test_other_requests_are_answered_while_viewers_wait() -> None:
    app = Slow()

    with viewers(app, 20) as (client, coming):
        other = client.get("/healthz")
        are_waiting = not any(one.done() for one in coming)

    assert other.text == "answered"
    assert are_waiting


def test_a_viewer_that_waited_in_vain_is_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entrance, "WAIT_SECONDS", 0.01)

    with viewers(Slow(), AT_ONCE) as (client, _):
        refused = client.get("/events")

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    assert json.loads(refused.data)["code"] == "busy"
