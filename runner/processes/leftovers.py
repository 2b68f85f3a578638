"""Processes that a command has left behind in sessions of their own.

Its group is killed with it, but `setsid` and daemons leave the group. What they do not leave is the
environment that they were started with, unless they want to; those stay in their sandbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep

from runner.processes import proc

_MARK = "STATEROOM_COMMAND"
_PATIENCE = 5.0  # seconds: a killed process that hangs in the kernel is not waited for


def marked(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """The environment of a command whose leftovers `kill_marked` will find."""
    return {**environment, _MARK: mark}


def kill_marked(mark: str, command: int) -> None:
    """Kill who carries the mark, again and again until nobody does.

    `command` is the pid of the one that was started with it, not reaped yet: nobody who is older
    can carry it, and to be asked for its environment costs a process and us the most.
    """
    sought = f"{_MARK}={mark}".encode()
    _kill_all(lambda variables: sought in variables, proc.status(command).started)


def live_in(folder: Path) -> bool:
    """Whether somebody is left of what was started to work in this folder."""
    return any(True for _ in _found(_started_in(folder)))


def kill_in(folder: Path) -> None:
    """Kill who was started to work in this folder, again and again until nobody is left."""
    _kill_all(_started_in(folder))


def _started_in(folder: Path) -> Callable[[list[bytes]], bool]:
    """Every command of a run gets a TMPDIR in the run's own folder."""
    sought = f"TMPDIR={folder.absolute()}/".encode()
    return lambda variables: any(variable.startswith(sought) for variable in variables)


def _kill_all(is_sought: Callable[[list[bytes]], bool], since: int = 0) -> None:
    patience = monotonic() + _PATIENCE
    while _kill_once(is_sought, since) and monotonic() < patience:
        sleep(0.005)


def _kill_once(is_sought: Callable[[list[bytes]], bool], since: int) -> int:
    """How many there were."""
    found = 0
    for pidfd in _found(is_sought, since):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            found += 1
    return found


def _found(is_sought: Callable[[list[bytes]], bool], since: int = 0) -> Iterator[int]:
    """A pidfd of each process whose environment is sought; open until the next one is asked for."""
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        # gone, or not ours
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, PermissionError):
            if since and proc.status(pid).started < since:
                continue
            pidfd = os.pidfd_open(pid)
            try:
                if is_sought(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")):
                    yield pidfd
            finally:
                os.close(pidfd)
