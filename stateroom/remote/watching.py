"""What happens in a run, as events: from the server's stream, or else by asking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from typing import TypeVar

from client.api import Api, Item, RequestRefused
from client.sse import Event

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0  # for a server that is started again
PAUSE_SECONDS = 1.0  # before connecting again
_AWAY = {0, 502, 503, 504}
_NO_TEXT = "\ufffd"  # stands for bytes that are no text

Told = TypeVar("Told")


def events(api: Api, where: str, offset: int = 0) -> Iterator[Event]:
    """The events of a run as `GET …/events` has them, until it ends; its log from an offset on.

    The data of `log` has the bytes too, as `raw`. A connection that breaks is made again, and
    nothing is lost or told twice. Where a server has no streams, or a proxy keeps them back, the
    run is asked for again and again. Raises RequestRefused.
    """
    reached = offset
    for event in _streamed(api, where, offset):
        if event.name == "log":
            event.data["raw"] = _bytes(api, where, event.data)
            reached = event.data["until"]
        yield event
        if event.name == "end":
            return
    yield from polled(api, where, reached)


def polled(api: Api, where: str, offset: int = 0) -> Iterator[Event]:
    """The same by asking again and again, without single steps."""
    told: Item = {}
    while True:
        found = _patiently(lambda: api.get(where))
        while text := _patiently(partial(_piece, api, where, offset)):
            until = offset + len(text)
            yield Event("", "log", {"offset": offset, "until": until, "raw": text})
            offset = until
        if found != told:
            yield Event("", "status", found)
            told = found
        if found["finished_at"] is not None:
            yield Event("", "end", {"status": found["status"], "log_size": offset})
            return
        time.sleep(POLL_SECONDS)


def _streamed(api: Api, where: str, offset: int) -> Iterator[Event]:
    """The events of one stream after the other; it ends when streams do not work here.

    Raises RequestRefused.
    """
    last_id = ""
    while True:
        is_alive = False
        try:
            with api.events(f"{where}/events", last_id, offset=offset) as stream:
                for event in stream:
                    is_alive = True
                    if event is None:
                        continue
                    if event.name == "problem":  # who asks for the run is told it too
                        return
                    last_id = event.id
                    yield event
        except RequestRefused as refusal:
            if refusal.status not in _AWAY:
                return
        if not is_alive and not _was_away(api, where):
            return
        time.sleep(PAUSE_SECONDS)


def _was_away(api: Api, where: str) -> bool:
    """Wait until the server answers; whether it did not at once. Raises RequestRefused."""
    try:
        api.get(where)
    except RequestRefused as refusal:
        if refusal.status not in _AWAY:
            raise
    else:
        return False
    _patiently(lambda: api.get(where))
    return True


def _patiently(ask: Callable[[], Told]) -> Told:
    """Ask again while the server is away, as when it is started again. Raises RequestRefused."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except RequestRefused as refusal:
            if refusal.status not in _AWAY or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _bytes(api: Api, where: str, told: Item) -> bytes:
    """The bytes of a part of the log. What is no text in it is asked for."""
    if _NO_TEXT not in told["text"]:
        return bytes(told["text"].encode())
    limit = told["until"] - told["offset"]
    return _patiently(lambda: _piece(api, where, told["offset"], limit))


def _piece(api: Api, where: str, offset: int, limit: int | None = None) -> bytes:
    piece = BytesIO()
    api.download(f"{where}/log", piece, offset=offset, limit=limit)
    return piece.getvalue()
