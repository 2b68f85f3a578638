"""What happened in a run and is not in the database yet: steps, facts, and early moves.

Writing it twice is harmless: whether a commit that was not answered was made, nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from backend.runs import claims, moves, steps
from backend.transactions import Transaction

BEFORE = {"planning": "preparing", "planned": "planning"}  # the moves that may be written late


@dataclass
class _Step:
    name: str
    position: int
    started: float  # by time.monotonic, as `ended`
    ended: float | None = None
    status: str = "running"
    detail: Mapping[str, Any] = field(default_factory=dict)


class Happened:
    """Collects events, and writes them in as few statements as possible."""

    def __init__(self) -> None:
        self._at_work: dict[str, _Step] = {}  # also those whose start was written already
        self._steps: list[_Step] = []
        self._facts: dict[str, Any] = {}
        self._moves: list[tuple[str, dict[str, Any]]] = []

    def __bool__(self) -> bool:
        return bool(self._steps or self._facts or self._moves)

    def step_started(self, name: str, position: int) -> None:
        step = self._at_work[name] = _Step(name, position, time.monotonic())
        self._steps.append(step)

    def step_ended(self, name: str, status: str, detail: Mapping[str, Any]) -> None:
        step = self._at_work.pop(name)
        step.ended, step.status, step.detail = time.monotonic(), status, detail
        if step not in self._steps:
            self._steps.append(step)

    def noted(self, facts: Mapping[str, Any]) -> None:
        self._facts |= facts

    def moved(self, status: str, **values: Any) -> None:
        """A move that nothing waits for."""
        self._moves.append((status, values))

    def write(self, tx: Transaction) -> None:
        """Raises Moved when the run was taken from its worker."""
        moment = time.monotonic()  # the same for all, so that no step ends before it starts
        steps.record(tx, [_event(step, moment) for step in self._steps])
        if self._facts:
            claims.note(tx, **self._facts)
        if not self._moves:
            return
        run = claims.own(tx)
        for status, values in self._moves:
            if run.status == BEFORE[status]:  # else it was written, and the answer was lost
                moves.move(tx, run, status, **values)

    def forget(self) -> None:
        """It was written."""
        self._steps.clear()
        self._facts.clear()
        self._moves.clear()


def _event(step: _Step, moment: float) -> steps.Event:
    return steps.Event(
        step.name,
        step.position,
        started=timedelta(seconds=moment - step.started),
        ended=None if step.ended is None else timedelta(seconds=moment - step.ended),
        status=step.status,
        detail=step.detail,
    )
