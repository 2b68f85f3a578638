"""The ticker: one thread that calls each duty (a piece of repeated work) when it is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from backend.errors import Error

log = structlog.get_logger()


@dataclass(frozen=True)
class Duty:
    """Repeated work. `work` does a little, and returns the seconds until it is due again.

    The other duties wait while it works. If it fails, that is logged, and it is due again after
    `pause` seconds.
    """

    name: str
    work: Callable[[], float]
    pause: float


class Ticker:
    """Calls duties. Each is first due `pause` seconds after the start."""

    def __init__(self, duties: Sequence[Duty]) -> None:
        self._duties = duties
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="ticker")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, after waiting at most ten seconds for the duty that is at work."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        now = time.monotonic()
        due = {duty: now + duty.pause for duty in self._duties}
        while due:
            duty = min(due, key=due.__getitem__)
            if self._stopped.wait(max(0.0, due[duty] - time.monotonic())):
                return
            due[duty] = time.monotonic() + _attempt(duty)


def _attempt(duty: Duty) -> float:
    """Do a duty, and return the seconds until it is due again."""
    try:
        return duty.work()
    except (Error, OSError) as error:
        log.warning("duty_failed", duty=duty.name, reason=str(error))
    except Exception as bug:  # a bug in one duty must not end the others
        log.exception("duty_crashed", duty=duty.name, exc_info=bug)
    return duty.pause
