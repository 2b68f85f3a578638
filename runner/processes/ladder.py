"""How a command is stopped, step by step.

It gets SIGINT, after a grace period SIGINT again, and after another one SIGKILL. At the first
terraform saves its state and unlocks; at the second it hurries. After SIGKILL its last changes are
not in the state, and the lock stays.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from runner.errors import Stopped
from runner.events import StopLevel

CANCELED = "the run was canceled"
POLL = 0.25  # seconds between two checks whether to stop


def go_on() -> StopLevel:
    """For commands that cannot be canceled: only the deadline stops them."""
    return StopLevel.GO_ON


@dataclass(frozen=True)
class Rung:
    """A signal that is sent, and which one follows after so many seconds; None: it is the last."""

    sent: signal.Signals
    following: signal.Signals | None
    seconds: float


def tell_nobody(_rung: Rung) -> None:
    """For commands that nobody watches."""


class Ladder:
    """Decides when to send which signal, after a cancel or when the deadline is over.

    `told` hears of each signal.
    """

    def __init__(
        self,
        stop: Callable[[], StopLevel],
        deadline: float,
        grace: float,
        told: Callable[[Rung], None] = tell_nobody,
    ) -> None:
        self._stop, self._deadline, self._grace, self._told = stop, deadline, grace, told
        self._ends = monotonic() + deadline
        self._rungs = [signal.SIGINT, signal.SIGINT, signal.SIGKILL]
        self._next_rung = self._next_question = 0.0
        self.reason = ""

    def due(self) -> signal.Signals | None:
        """The signal to send to the process group now, if any."""
        now = monotonic()
        level = self._ask(now)
        if not self.reason:
            self.reason = "canceled" if level else "timed-out" if now >= self._ends else ""
        if level is StopLevel.KILL:
            del self._rungs[:-1]
            self._next_rung = 0.0
        if not self.reason or not self._rungs or now < self._next_rung:
            return None
        self._next_rung = now + self._grace
        sent = self._rungs.pop(0)
        self._told(Rung(sent, self._rungs[0] if self._rungs else None, self._grace))
        return sent

    def pause(self) -> float:
        """The seconds until a signal may be due."""
        until = self._next_rung if self.reason and self._rungs else self._ends
        return min(POLL, max(0.0, until - monotonic())) if self._rungs else POLL

    def give_up(self) -> None:
        """Begin to stop the command for another reason."""
        self._stop = go_on
        self.reason = self.reason or "given-up"

    def stopped(self, name: str) -> Stopped:
        if self.reason == "canceled":
            return Stopped("canceled", f"{name} was stopped because {CANCELED}.")
        return Stopped("timed-out", f"{name} was stopped after {self._deadline:g} seconds.")

    def _ask(self, now: float) -> StopLevel:
        if now < self._next_question:
            return StopLevel.GO_ON
        self._next_question = now + POLL
        return self._stop()
