"""What the kernel tells of a process in /proc."""

from __future__ import annotations

import os
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
