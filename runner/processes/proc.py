"""What the kernel tells of processes in /proc. It imports next to nothing, for warden.py."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")  # in a second
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Status(NamedTuple):
    """`started` counts the kernel's ticks from its own start to that of the process.

    `cpu` is in seconds, with its children that have ended.
    """

    parent: int
    started: int
    threads: int
    cpu: float


def pids() -> list[int]:
    """The processes that this one can see."""
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdigit()]


def status(pid: int) -> Status:
    """Who started a process, and when. Raises FileNotFoundError, ProcessLookupError."""
    text = _read(f"/proc/{pid}/stat")
    facts = text.rpartition(b")")[2].split()  # a name may contain anything, also parentheses
    cpu = sum(map(int, facts[11:15])) / TICKS
    return Status(int(facts[1]), int(facts[19]), int(facts[17]), cpu)


def memory(pid: int) -> int:
    """The bytes of memory that a process shares with no other. Raises as `status`."""
    _, resident, shared = map(int, _read(f"/proc/{pid}/statm").split()[:3])
    return (resident - shared) * _PAGE


def descendants(root: int) -> list[int]:
    """The processes that this one, or one of those, has started."""
    children: dict[int, list[int]] = {}
    for pid in pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children.setdefault(status(pid).parent, []).append(pid)
    found: list[int] = []
    new = [root]
    while new:
        new = [child for pid in new for child in children.get(pid, [])]
        found += new
    return found


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
    return _read(f"/proc/{pid}/environ").split(b"\0")


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        said = b""
        while chunk := os.read(fd, 1 << 16):
            said += chunk
        return said
    finally:
        os.close(fd)
