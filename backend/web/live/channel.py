"""One run that is watched: what was seen of it last, for any number of viewers."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from backend.errors import Error
from backend.models import ACTIVE, ENDED
from backend.runs.watching import Mark
from backend.web.live.access import Access
from backend.web.live.places import digest

PAGE_BYTES = 64 * 1024  # of the log in one event
KEPT_BYTES = 1 << 20  # of pages of one log, for the viewers that come next
_LONGEST_CHARACTER = 4

ReadLog = Callable[[int, int], bytes]  # gets an offset and a limit


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a plan or an apply is, as the data of an event."""

    data: bytes
    digest: str

    @classmethod
    def of(cls, progress: Mapping[str, Any] | None) -> Self | None:
        """What a run's row has of it."""
        if progress is None:
            return None
        data = json.dumps(progress).encode()
        return cls(data, digest(data))


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a run: JSON that is ready to be sent.

    Each step comes with the number of starts and ends of steps up to it.
    """

    status: str
    log_size: int
    run: bytes
    run_digest: str
    steps: Sequence[tuple[int, bytes]]
    progress: Progress | None

    @property
    def is_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a log as the data of an event, and the offset after it."""

    data: bytes
    until: int


class Channel:
    """`seen` is None until the run was looked at, and `fault` is why it cannot be shown."""

    def __init__(self, run_id: str, read_log: ReadLog) -> None:
        self.run_id = run_id
        self.seen: Seen | None = None
        self.fault: Error | None = None
        self.wakers: dict[threading.Event, None] = {}  # of the viewers
        self.next_look = 0.0
        self.looked_at = 0.0
        self.mark: Mark | None = None
        self._access: dict[str, Access] = {}
        self._read_log = read_log
        self._pages: OrderedDict[tuple[int, int, bool], Page] = OrderedDict()
        self._reading = threading.Lock()

    @property
    def is_at_work(self) -> bool:
        return self.seen is None or self.seen.status in ACTIVE

    def access(self, token_id: str, ask: Callable[[], None]) -> Access:
        """The access of a token that may see the run now."""
        found = self._access.get(token_id)
        if found is None or found.refusal is not None:
            found = self._access[token_id] = Access(ask)
        return found

    def see(self, seen: Seen, mark: Mark) -> bool:
        """Note what was seen; whether it is news."""
        is_new = seen != self.seen
        self.seen, self.mark, self.looked_at = seen, mark, time.monotonic()
        return is_new

    def go_on(self, mark: Mark) -> bool:
        """Note log and progress when nothing else has changed; whether it is news."""
        if self.seen is None or self.mark is None:
            return False
        if (mark.log_size, mark.progress) == (self.mark.log_size, self.mark.progress):
            return False
        told = Progress.of(mark.progress)
        self.seen, self.mark = replace(self.seen, log_size=mark.log_size, progress=told), mark
        return True

    def page(self, offset: int, seen: Seen) -> Page | None:
        """The log from an offset on, at most PAGE_BYTES of it; None when there is no more.

        It is read from the database once for all viewers that have come so far. Raises Unavailable
        and Unreadable.
        """
        # pages begin at the same places for everybody, wherever they ended inside of a character
        end = (offset + _LONGEST_CHARACTER) // PAGE_BYTES * PAGE_BYTES + PAGE_BYTES
        until = min(end, seen.log_size)
        if until <= offset:
            return None
        is_last = seen.is_ended and until == seen.log_size  # then half a character is told too
        with self._reading:
            found = self._pages.get((offset, until, is_last))
            if found is None:
                text = self._read_log(offset, until - offset)
                if not is_last:
                    text = text[: whole_characters(text)]
                found = self._pages[offset, until, is_last] = _page(text, offset)
                self._forget()
        return found if found.until > offset else None

    def _forget(self) -> None:
        kept = sum(len(page.data) for page in self._pages.values())
        while kept > KEPT_BYTES and len(self._pages) > 1:
            _, page = self._pages.popitem(last=False)
            kept -= len(page.data)


def whole_characters(text: bytes) -> int:
    """The length of the text without a character of UTF-8 at its end that is incomplete."""
    for back in range(1, min(_LONGEST_CHARACTER, len(text)) + 1):
        byte = text[-back]
        if byte < 0x80:  # a character of its own
            return len(text)
        if byte >= 0xC0:  # the first byte of one
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(text) - back if back < length else len(text)
    return len(text)


def _page(text: bytes, offset: int) -> Page:
    until = offset + len(text)
    said = text.decode(errors="replace")
    return Page(json.dumps({"offset": offset, "until": until, "text": said}).encode(), until)
