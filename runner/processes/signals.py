"""Wait for signals that are blocked, in a process that may be paused meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection

LOOK_SECONDS = 0.1


def wait_for(signals: Collection[signal.Signals], seconds: float) -> signal.Signals | None:
    """The next of these signals, or None if none comes in time. This thread has blocked them.

    Until Python 3.12, signal.sigtimedwait returns arbitrary memory when the process was paused for
    longer than its timeout (SIGSTOP, SIGCONT), which may look like any signal.
    """
    until = time.monotonic() + seconds
    while not (pending := signal.sigpending() & {*signals}):
        left = until - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(left, LOOK_SECONDS))
    return signal.Signals(signal.sigwait(pending))
