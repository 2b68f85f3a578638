"""What the processes of a run take together, and which of its limits they exceed.

The kernel limits single processes (RLIMIT_…), and where cgroups are at hand all of a run. This
watches the sum everywhere else: a few times a second, in the warden of the run.

It imports next to nothing, as warden.py.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from typing import NamedTuple

from runner.processes import proc

# the number of a limit in a warden's answer
MEMORY, PROCESSES, DISK, CPU = 1, 2, 3, 4

_NEAR = 0.9  # of the processes: the kernel refuses one more before this sees too many
_HARD = 2  # so many times a limit ends everything but the command at once
_WALK_SECONDS, _WALK_SHARE = 1.0, 20  # a walk over the folder takes at most a 20th of the time


class Usage(NamedTuple):
    """Bytes of memory, processes and threads, bytes of disk, seconds of CPU time. 0: no limit."""

    memory: int
    processes: int
    disk: int
    cpu: int


class Watch:
    """The usage of one run, against the most that it may take."""

    def __init__(self, most: Usage, folder: str) -> None:
        self._most, self._folder = most, folder
        self.exceeded = 0  # MEMORY, PROCESSES, …: the first limit that this command exceeded
        self.is_over = False  # whether the command is to be interrupted
        self._disk, self._next_walk = 0, 0.0

    def begin(self) -> None:
        """A new command: what the ones before exceeded is not its fault."""
        self.exceeded, self.is_over = 0, False
        self._next_walk = 0.0

    def look(self, pids: list[int], command: int) -> list[int]:
        """Measure; the processes that are to be killed now, if any."""
        taken = {pid: one for pid in pids if (one := _taken(pid))}
        now = self._sum(taken)
        most = self._most
        if most.memory and now.memory > most.memory:
            self._exceed(MEMORY)
            return [_largest(taken, command)]
        if now.processes > _NEAR * most.processes > 0:
            self._exceed(PROCESSES)
        over = [
            number
            for number, used, limit in (
                (PROCESSES, now.processes, most.processes),
                (DISK, now.disk, most.disk),
                (CPU, now.cpu, most.cpu),
            )
            if limit and used > limit
        ]
        for number in over:
            self._exceed(number)
            self.is_over = True
        if self.is_over and (
            now.processes > _HARD * most.processes > 0 or now.disk > _HARD * most.disk > 0
        ):
            return [pid for pid in pids if pid != command]
        return []

    def look_last(self, pids: list[int]) -> None:
        """Note what made the command fail, where the kernel refused it more than it may take."""
        self._next_walk = 0.0
        self.look(pids, 0)
        if self._most.disk and self._disk >= self._most.disk:
            self._exceed(DISK)

    def _exceed(self, number: int) -> None:
        self.exceeded = self.exceeded or number

    def _sum(self, taken: dict[int, _Taken]) -> Usage:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = ended.ru_utime + ended.ru_stime + sum(one.cpu for one in taken.values())
        return Usage(
            sum(one.memory for one in taken.values()),
            sum(one.threads for one in taken.values()),
            self._size(),
            int(cpu),
        )

    def _size(self) -> int:
        began = time.monotonic()
        if self._most.disk and began >= self._next_walk:
            self._disk = size(self._folder)
            took = time.monotonic() - began
            self._next_walk = began + max(_WALK_SECONDS, _WALK_SHARE * took)
        return self._disk


class _Taken(NamedTuple):
    memory: int
    threads: int
    cpu: float


def _taken(pid: int) -> _Taken | None:
    """What one process takes, or None when it has ended. Memory is what it shares with nobody."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        status = proc.status(pid)
        return _Taken(proc.memory(pid), status.threads, status.cpu)
    return None


def _largest(taken: dict[int, _Taken], command: int) -> int:
    """The process that takes the most memory; the command itself only when it is most of it."""
    others = {pid: one for pid, one in taken.items() if pid != command}
    largest = max(others, key=lambda pid: others[pid].memory, default=command)
    total = sum(one.memory for one in taken.values())
    return largest if _HARD * sum(one.memory for one in others.values()) > total else command


def size(folder: str) -> int:
    """The bytes of disk that everything below a folder takes. Symlinks are not followed."""
    total = 0
    waiting = [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return total
