"""The small process that forks for a large one, and its only loop.

A worker has threads and a hundred megabytes: its fork copies the page tables of all of it, and
locks that other threads hold and nobody will release in the child. This process has one thread and
a few megabytes, so what runs between its fork and exec may be ordinary Python.

It imports next to nothing. starter.py is its other side, and says what travels between the two.
"""

from __future__ import annotations

import errno
import marshal
import os
import signal
import socket
import struct
from typing import NamedTuple

from runner.processes.prctl import DUMPABLE, die_with, enter, switch

START, REAP = b"S", b"R"  # and how many files come along, or a pid
ANSWER = struct.Struct("<qq")  # a pid or an exit code, and an errno
MOST_FDS = 16
_PACKET = 64
# Python ignores the last two, the worker may ignore the first: commands would inherit that
_RESTORED = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)


class Order(NamedTuple):
    """What a command is started with; its Files travel beside it."""

    argv: list[str]
    env: dict[str, str]
    cwd: str
    at_parents_death: int
    is_confined: bool


class Files(NamedTuple):
    """File descriptors as they travel; then a ruleset, if any, and what the child inherits."""

    order: int  # the Order, in memory
    told: int  # where the child says why it did not come to its exec
    stdin: int
    stdout: int
    stderr: int


def main() -> None:
    """Answer on stdin until the other side is gone; what was started gets its signal then."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)
    switch(DUMPABLE, 0, "PR_SET_DUMPABLE")  # the environments of all runs pass through here
    with socket.socket(fileno=os.dup(0)) as channel:
        while True:
            packet, fds, _, _ = socket.recv_fds(channel, _PACKET, MOST_FDS)
            for fd in fds:  # recv_fds forgets its flags (CPython 3.11): children would have them
                os.set_inheritable(fd, False)
            if not packet:
                return
            channel.send(ANSWER.pack(*_answered(packet, fds)))


def _answered(packet: bytes, fds: list[int]) -> tuple[int, int]:
    try:
        if packet.startswith(START):
            return _start(fds, int(packet[len(START) :])), 0
        return _reap(int(packet[len(REAP) :])), 0
    except OSError as error:
        return 0, error.errno or errno.EIO
    finally:
        for fd in fds:
            os.close(fd)


def _start(fds: list[int], sent: int) -> int:
    """The pid of the child. It may fail later: it says so itself."""
    if len(fds) != sent:  # this process may open no more
        raise OSError(errno.EMFILE, "too many files")
    files, rest = Files(*fds[: len(Files._fields)]), fds[len(Files._fields) :]
    order = Order(*marshal.loads(os.pread(files.order, os.fstat(files.order).st_size, 0)))  # noqa: S302 ours
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(parent, order, files, rest)
    return pid


def _become(parent: int, order: Order, files: Files, rest: list[int]) -> None:
    """Become the command; never return."""
    try:
        os.setsid()
        os.umask(0o077)
        os.chdir(order.cwd)
        for target, fd in enumerate((files.stdin, files.stdout, files.stderr)):
            os.dup2(fd, target)
        for fd in rest[order.is_confined :]:
            os.set_inheritable(fd, True)
        die_with(parent, order.at_parents_death)
        if order.is_confined:
            enter(rest[0])
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 that is its purpose
    except BaseException as error:  # noqa: BLE001 whatever it is, this copy of us must not go on
        os.write(files.told, str(error).encode(errors="replace")[:4096])
    finally:
        os._exit(255)


def _reap(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
