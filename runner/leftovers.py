"""Processes that a command has left behind in sessions of their own.

Its group is killed with it, but `setsid` and daemons leave the group. What they do not leave is the
environment that they were started with, unless they want to; those stay in their sandbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep

_MARK = "STATEROOM_COMMAND"
_PATIENCE = 5.0  # seconds: a killed process that hangs in the kernel is not waited for


def marked(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """The environment of a command whose leftovers `kill_marked` will find."""
    return {**environment, _MARK: mark}


def kill_marked(mark: str) -> None:
    """Kill who carries the mark, again and again until nobody does."""
    patience = monotonic() + _PATIENCE
    while _kill_once(mark) and monotonic() < patience:
        sleep(0.005)


def _kill_once(mark: str) -> int:
    """Kill who carries the mark in its environment: it left the group. How many there were."""
    sought = f"{_MARK}={mark}".encode()
    found = 0
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        # gone, or not ours
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if sought in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    found += 1
            finally:
                os.close(pidfd)
    return found
