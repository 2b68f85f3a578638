"""How far a viewer has been told of a run: each event's id says it, for `Last-Event-ID`.

An id has no meaning for one server process alone: each of them, also after a restart, goes on from
there by what is in the database.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from backend.errors import Invalid

_ID = re.compile(r"(\d{1,16})-(\d{1,9})-([0-9a-f]{12})?-([0-9a-f]{12})?(-end)?")


@dataclass(frozen=True, slots=True)
class Place:
    """`log` counts bytes, and `steps` the starts and ends of steps. Of the others it has hashes."""

    log: int = 0
    steps: int = 0
    run: str = ""
    progress: str = ""
    is_end: bool = False

    @classmethod
    def parse(cls, event_id: str) -> Self:
        """The place after the event with this id. Raises Invalid."""
        found = _ID.fullmatch(event_id)
        if found is None:
            raise Invalid(
                "Last-Event-ID is not the id of an event of a run. Leave it out to begin anew.",
                code="event-id-unknown",
            )
        log, steps, run, progress, end = found.groups()
        return cls(int(log), int(steps), run or "", progress or "", end is not None)

    def __str__(self) -> str:
        end = "-end" if self.is_end else ""
        return f"{self.log}-{self.steps}-{self.run}-{self.progress}{end}"


def digest(told: bytes) -> str:
    return hashlib.sha256(told).hexdigest()[:12]
