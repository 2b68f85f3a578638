"""Reading server-sent events, as a browser does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    id: str
    name: str
    data: Any


def events(pieces: Iterable[bytes]) -> Iterator[Event]:
    """The events of a stream; comments and `retry` are left out."""
    fields: dict[str, str] = {}
    for line in _lines(pieces):
        name, _, value = line.partition(": ")
        if not line and "data" in fields:
            yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
        if not line:
            fields = {}
        elif name:
            fields[name] = value


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    held = b""
    for piece in pieces:
        *lines, held = (held + piece).split(b"\n")
        for line in lines:
            yield line.decode()


def log_in(told: Iterable[Event]) -> str:
    """The text of the log in these events, which has to be without gaps and repetitions."""
    text, until = "", None
    for event in told:
        if event.name == "log":
            assert until in {None, event.data["offset"]}, event
            text, until = text + event.data["text"], event.data["until"]
    return text
