"""One viewer of a run: the server-sent events from its place on.

Nothing is queued for a viewer. It is woken when there is news, and sends what is between its own
place and what was seen last. One that reads slowly is told less often, and misses nothing.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from backend.errors import Error
from backend.web.live.access import Access
from backend.web.live.channel import Channel, Seen
from backend.web.live.places import Place
from backend.web.problems import status_of

BEAT_SECONDS = 10.0  # below the 30 to 60 seconds after which proxies end what is silent
BEGIN = b"retry: 2000\n\n"  # milliseconds until a browser connects again
BEAT = b": still connected\n\n"
STOPPING = b": the server stops, connect again\n\n"


class Viewer:
    def __init__(self, channel: Channel, access: Access, place: Place, token_id: str) -> None:
        self.channel, self.token_id = channel, token_id
        self.woken = threading.Event()
        self._access, self._place = access, place
        self._is_stopped = False

    def stop(self) -> None:
        """End the events soon, because the server ends. The client connects again."""
        self._is_stopped = True
        self.woken.set()

    def events(self) -> Iterator[bytes]:
        """The events until the run has ended, or may no longer be seen."""
        yield BEGIN
        while not self._is_stopped:
            self.woken.clear()
            seen, fault = self.channel.seen, self.channel.fault or self._access.check()
            if fault is None and seen is not None:
                try:
                    yield from self._news(seen)
                except Error as error:  # the log cannot be read
                    fault = error
                else:
                    if seen.is_ended:
                        yield self._end(seen)
                        return
            if fault is not None:
                yield _problem(fault)
                return
            if not self.woken.wait(BEAT_SECONDS):
                yield BEAT
        yield STOPPING

    def _news(self, seen: Seen) -> Iterator[bytes]:
        """What is between this viewer's place and what was seen.

        The status comes last: whoever is told that a run is planned has been told its log.
        """
        for count, step in seen.steps:
            if count > self._place.steps:
                yield self._event("step", step, replace(self._place, steps=count))
        while page := self.channel.page(self._place.log, seen):
            yield self._event("log", page.data, replace(self._place, log=page.until))
            time.sleep(0)  # a long log is not to hold up all others
        if seen.progress is not None and seen.progress.digest != self._place.progress:
            reached = replace(self._place, progress=seen.progress.digest)
            yield self._event("progress", seen.progress.data, reached)
        if seen.run_digest != self._place.run:
            yield self._event("status", seen.run, replace(self._place, run=seen.run_digest))

    def _end(self, seen: Seen) -> bytes:
        told = json.dumps({"status": seen.status, "log_size": seen.log_size}).encode()
        return self._event("end", told, replace(self._place, is_end=True))

    def _event(self, name: str, data: bytes, reached: Place) -> bytes:
        self._place = reached
        return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(reached).encode(), name.encode(), data)


def _problem(fault: Error) -> bytes:
    """Why there are no more events, as the body of a refusal has it."""
    told = {"status": status_of(fault), "code": fault.code, "detail": fault.message}
    return b"event: problem\ndata: %s\n\n" % json.dumps(told).encode()
