"""What happened in a run and is not in the database yet: steps, facts, and early moves.

Writing it twice is harmless: whether a commit that was not answered was made, nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from backend.models import PlanDocument
from backend.runs import claims, moves, plan_documents, steps
from backend.transactions import Transaction

BEFORE = {"planning": "preparing"}  # the moves that may be written late


class Happened:
    """Collects events, and writes them in as few statements as possible."""

    def __init__(self) -> None:
        self._at_work: dict[str, steps.Event] = {}  # also those whose start was written already
        self._steps: list[steps.Event] = []
        self._facts: dict[str, Any] = {}
        self._plan: Sequence[PlanDocument] = ()
        self._moves: list[tuple[str, dict[str, Any]]] = []

    def __bool__(self) -> bool:
        return bool(self._steps or self._facts or self._plan or self._moves)

    def step_started(self, name: str, position: int) -> None:
        step = self._at_work[name] = steps.Event(name, position, time.monotonic())
        self._steps.append(step)

    def step_ended(self, name: str, status: str, detail: Mapping[str, Any]) -> None:
        step = self._at_work.pop(name)
        step.ended, step.status, step.detail = time.monotonic(), status, detail
        if step not in self._steps:
            self._steps.append(step)

    def noted(self, facts: Mapping[str, Any]) -> None:
        self._facts |= facts

    def planned(self, rows: Sequence[PlanDocument]) -> None:
        """What the plan says, or the last part of it."""
        self._plan = rows

    def moved(self, status: str, **values: Any) -> None:
        """A move that nothing waits for."""
        self._moves.append((status, values))

    def write(self, tx: Transaction) -> None:
        """Raises Moved when the run was taken from its worker."""
        steps.record(tx, self._steps)
        if self._facts:
            claims.note(tx, **self._facts)
        if self._plan:
            plan_documents.store(tx, self._plan)
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
        self._plan = ()
        self._moves.clear()
