"""Processes that outlived the command that started them, and its environment too.

`env -i setsid …` leaves the group and the mark that leftovers.py looks for. It cannot leave its
ancestors: a process that has lost its parent becomes a child of the nearest one that adopts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.processes import proc, starter
from runner.processes.prctl import CHILD_SUBREAPER, switch


def adopt() -> None:
    """Make orphans of this process's commands its children. Raises OSError."""
    switch(CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER")


def clock() -> float:
    """Seconds, on the clock that the start of processes is told by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def kill(oldest_at_work: Callable[[], float]) -> int:
    """Kill children that are older than everything at work, and reap the dead; how many there were.

    The process that starts commands (starter.py) is spared.

    `oldest_at_work` is asked when the children are known: what began later is not among them.
    """
    found = [child for child in children() if child[0] != starter.pid()]
    before = oldest_at_work() - 2 / proc.TICKS
    old = [pid for pid, started in found if started < before]
    for pid in old:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # a child's number is its own until it is reaped, by us
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # who is not dead yet is reaped the next time
    return len(old)


def children() -> Iterator[tuple[int, float]]:
    """The children of this process, whichever of its threads started them, and when they began."""
    own = os.getpid()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found = proc.status(int(folder.name))
                if found.parent == own:
                    yield int(folder.name), found.started / proc.TICKS
