"""Children that never come to exec.

What runs between fork and exec in a process with threads can meet a lock that was held when the
process forked, and that nobody will ever release. Such a child holds the pipes of others, so that
all that are being started wait with it; they go on when it is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from runner.processes.orphans import children, clock

_ended: set[int] = set()


def end(seconds: float) -> int:
    """Kill children that are still a copy of this process after so long; how many there were."""
    own = Path("/proc/self/cmdline").read_bytes()
    found = 0
    for pid, started in children():
        if clock() - started < seconds:
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == own:
                _ended.add(pid)  # first: who waits for it looks here when it is dead
                os.kill(pid, signal.SIGKILL)
                found += 1
    return found


def was_ended(pid: int) -> bool:
    """Whether this child, not reaped yet, was killed before its exec. Answers once."""
    with contextlib.suppress(KeyError):
        _ended.remove(pid)
        return True
    return False
