"""What the kernel tells of a process in /proc."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")  # in a second


class Status(NamedTuple):
    """`started` counts the kernel's ticks from its own start to that of the process."""

    parent: int
    started: int


def status(pid: int) -> Status:
    """Who started a process, and when. Raises FileNotFoundError, ProcessLookupError."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 4096)
    finally:
        os.close(fd)
    facts = text.rpartition(b")")[2].split()  # a name may contain anything, also parentheses
    return Status(parent=int(facts[1]), started=int(facts[19]))


def ancestry(pid: int) -> Iterator[tuple[int, Status]]:
    """A process, its parent, the parent of that one, as far as they still live."""
    born: float = float("inf")
    while pid:
        try:
            found = status(pid)
        except (FileNotFoundError, ProcessLookupError):
            return
        if found.started > born:  # the parent has ended, and somebody younger has its number
            return
        yield pid, found
        pid, born = found.parent, found.started


def descends_from(ancestor: int) -> Callable[[int], bool]:
    """Tells whether a process is this one, or was started by it or by one of its descendants.

    Raises FileNotFoundError, ProcessLookupError when there is no such ancestor now.
    """
    begun = status(ancestor).started  # a number may be given again, at another time
    sought = (ancestor, begun)
    return lambda pid: any((one, found.started) == sought for one, found in ancestry(pid))


def environment(pid: int) -> list[bytes]:
    """What a process was started with, as NAME=value. Raises OSError."""
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
