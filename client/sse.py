"""Reading server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_BYTES = 16 << 20  # of one line


class NotAStream(Exception):
    """What came is no stream of events with JSON."""


@dataclass(frozen=True)
class Event:
    id: str
    name: str
    data: Any


def events(pieces: Iterable[bytes]) -> Iterator[Event | None]:
    """The events of a stream, and None for a comment: then the connection is alive.

    Raises NotAStream.
    """
    fields: dict[str, str] = {}
    for line in _lines(pieces):
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield _event(fields)
            fields = {}


def _event(fields: dict[str, str]) -> Event:
    try:
        data = json.loads(fields["data"])
    except ValueError:
        raise NotAStream from None
    if not isinstance(data, dict):
        raise NotAStream
    return Event(fields.get("id", ""), fields.get("event", ""), data)


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    held = b""
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").removesuffix("\r")
        if len(held) > MOST_BYTES:
            raise NotAStream
