"""How far a plan or an apply is, from the lines in which both tools tell it to people.

Their option -json tells it too, but Terraform then prints nothing for people: no plan, no boxes
around errors, and no state that could be taken out when the disk is full (docs/decisions/0020).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

MOST_ACTIVE = 20  # that are named
UNHEARD_SECONDS = 25.0  # both tools say every 10 seconds that something still goes on
_LONGEST = 4096  # of the beginning of a line

Action = Literal["create", "update", "delete", "read", "open", "close"]

_BEGINS: Mapping[bytes, Action] = {
    b"Creating": "create", b"Modifying": "update", b"Destroying": "delete",
    b"Reading": "read", b"Opening": "open", b"Closing": "close",
}  # fmt: skip
_CHANGES = (b"Creation", b"Modifications", b"Destruction")
_ENDS = (*_CHANGES, b"Read", b"Opening", b"Open", b"Closing", b"Close")
_CHANGING = frozenset({"create", "update", "delete"})
_LINE = re.compile(
    rb"""
    ^(?P<address> (?: [^\s"\[\]:] | \[ (?: \d+ | "(?:[^"\\\n]|\\.)*" ) \] )+ )
    (?: [ ]\(deposed[ ]object[ ](?P<deposed>\w+)\) )?
    :[ ] (?:
        (?P<refreshing> Refreshing[ ]state\.\.\. )
      | (?P<begins> %s )\.\.\.
      | (?P<still> Still[ ]\w+\.\.\.[ ]\[ )
      | (?P<ends> %s )[ ]complete
    )
    """
    % (b"|".join(_BEGINS), b"|".join(_ENDS)),
    re.VERBOSE | re.MULTILINE,
)


@dataclass
class _Active:
    action: Action
    began: datetime
    heard: float  # time.monotonic


class Progress:
    """Reads what one command prints, in pieces that are cut anywhere."""

    def __init__(self, step: str, total: int | None = None) -> None:
        """`total` is how many changes the plan has; a replacement is two."""
        self._step, self._total = step, total
        self._done = self._refreshed = 0
        self._active: dict[bytes, _Active] = {}
        self._unfinished: set[bytes] = set()
        self._line = b""  # the beginning of one that has not ended

    def feed(self, chunk: bytes) -> bool:
        """Read the next piece; whether it tells something new."""
        begun, end, rest = chunk.rpartition(b"\n")
        lines = self._line + begun if end else b""
        self._line = ((b"" if end else self._line) + rest)[:_LONGEST]
        before = self._mark()
        for found in _LINE.finditer(lines):
            self._hear(found)
        self._give_up(time.monotonic() - UNHEARD_SECONDS)
        return self._mark() != before

    def end(self) -> bool:
        """The command has ended; whether that tells something new."""
        before = self._mark()
        self._give_up(time.monotonic())
        return self._mark() != before

    def told(self) -> dict[str, Any]:
        """What is known now. `active` names the first ones, which began longest ago."""
        return {
            "step": self._step,
            "total": self._total,
            "done": self._done,
            "unfinished": len(self._unfinished),
            "refreshed": self._refreshed,
            "active": [*self._first_active()],
            "active_count": len(self._active),
        }

    def _first_active(self) -> Iterator[dict[str, Any]]:
        for name, one in [*self._active.items()][:MOST_ACTIVE]:
            yield {
                "address": name.decode(errors="replace"),
                "action": one.action,
                "began_at": one.began.isoformat(timespec="milliseconds"),
            }

    def _hear(self, line: re.Match[bytes]) -> None:
        name = line["address"]
        if line["deposed"]:
            name += b" (deposed object " + line["deposed"] + b")"
        if line["refreshing"]:
            self._refreshed += 1
        elif line["begins"]:
            action = _BEGINS[line["begins"]]
            self._active[name] = _Active(action, datetime.now(UTC), time.monotonic())
        elif line["ends"]:
            self._done += line["ends"] in _CHANGES
            self._active.pop(name, None)
            self._unfinished.discard(name)
        elif name in self._active:
            self._active[name].heard = time.monotonic()

    def _give_up(self, unheard: float) -> None:
        """What fails is not said before the end of the command: nothing more is heard of it."""
        for name in [name for name, one in self._active.items() if one.heard <= unheard]:
            if self._active.pop(name).action in _CHANGING:
                self._unfinished.add(name)

    def _mark(self) -> tuple[object, ...]:
        """Another one when what is told is another."""
        return (self._done, self._refreshed, len(self._unfinished), *self._active)
