"""Where requests for the events of runs wait for their turn, before anything of them is answered.

With gevent one thread answers all requests, and on SQLite none of them lets others go before. When
hundreds of viewers connect at once, all other requests would be answered after them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from backend.errors import Unavailable
from backend.offload import Room
from backend.web import problems

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

AT_ONCE = 2  # while one waits for PostgreSQL
TURN_SECONDS = 0.002  # for other requests, before each viewer
WAIT_SECONDS = 60.0
_BUSY = "Too many viewers connect to this server process at the same time. Try again."


class Entrance:
    """Lets viewers in a few at a time, and other requests in between.

    `is_viewer` tells the paths of events. The events themselves are sent outside.
    """

    def __init__(self, inside: WSGIApplication, is_viewer: Callable[[str], bool]) -> None:
        self._inside, self._is_viewer = inside, is_viewer
        self._room = Room(AT_ONCE, seconds=WAIT_SECONDS, refusal=_BUSY)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse, /) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not self._is_viewer(path):
            return self._inside(environ, start)
        try:
            with self._room.enter():
                time.sleep(TURN_SECONDS)
                return self._inside(environ, start)
        except Unavailable as busy:
            return problems.from_error(busy, path)(environ, start)
