"""The small process that forks for a large one, and its only loop.

A worker has threads and a hundred megabytes: its fork copies the page tables of all of it, and
locks that other threads hold and nobody will release in the child. This process has one thread and
a few megabytes, so what runs between its fork and exec may be ordinary Python.

It imports next to nothing. starter.py is its other side, and says what travels between the two.
"""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import select
import signal
import socket
import struct
from typing import Any, NamedTuple

from runner.processes.landlock import give_up_privileges
from runner.processes.prctl import DUMPABLE, die_with, switch

START, REAP, SIGNAL = b"S", b"R", b"K"  # and how many files come along, a pid, a pid and a signal
ANSWER = struct.Struct("<qqq")  # a pid or an exit code, an errno, and the limit that was exceeded
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


class Files(NamedTuple):
    """File descriptors as they travel; after them those that the child inherits."""

    order: int  # the Order, in memory
    told: int  # where the child says why it did not come to its exec
    stdin: int
    stdout: int
    stderr: int


class Answer(NamedTuple):
    """`pidfd` travels beside the rest."""

    value: int = 0
    fault: int = 0
    exceeded: int = 0
    pidfd: int | None = None


class Forker:
    """Starts commands for the process at the other end of the channel, one answer a packet."""

    pause: int | None = None  # milliseconds between two calls of `idle`

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel

    def serve(self) -> None:
        """Answer until the other side is gone."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        while True:
            if not poll.poll(self.pause):
                self.idle()
                continue
            packet, fds, _, _ = socket.recv_fds(self.channel, _PACKET, MOST_FDS)
            for fd in fds:  # recv_fds forgets its flags (CPython 3.11): children would have them
                os.set_inheritable(fd, False)
            if not packet:
                return
            self.say(self._answered(packet, fds))

    def say(self, answer: Answer) -> None:
        """Raises BrokenPipeError when nobody listens any more."""
        fds = [] if answer.pidfd is None else [answer.pidfd]
        try:
            socket.send_fds(self.channel, [ANSWER.pack(*answer[:3])], fds)
        finally:
            for fd in fds:
                os.close(fd)

    def idle(self) -> None:
        """Do what is to be done from time to time."""

    def become(self, order: Order, parent: int) -> None:
        """Between fork and exec: the last preparations. Raises OSError."""
        give_up_privileges()
        die_with(parent, order.at_parents_death)

    def signal_group(self, pid: int, number: int) -> None:
        """Send a signal to a command, and to what it has started in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)

    def reap(self, pid: int) -> Answer:
        """Wait for the end of a command, and say how it ended. Raises OSError."""
        _, status = os.waitpid(pid, 0)
        return Answer(os.waitstatus_to_exitcode(status))

    def start(self, order: Order, files: Files, kept: list[int]) -> Answer:
        """Start a command. It may fail later: it says so itself. Raises OSError."""
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(parent, order, files, kept)
        return Answer(pid, pidfd=os.pidfd_open(pid))

    def _answered(self, packet: bytes, fds: list[int]) -> Answer:
        kind, rest = packet[:1], packet[1:]
        try:
            if kind == START:
                return self._ordered(fds, int(rest))
            if kind == REAP:
                return self.reap(int(rest))
            self.signal_group(*map(int, rest.split()))
            return Answer()
        except OSError as error:
            return Answer(fault=error.errno or errno.EIO)
        finally:
            for fd in fds:
                os.close(fd)

    def _ordered(self, fds: list[int], sent: int) -> Answer:
        if len(fds) != sent:  # this process may open no more
            raise OSError(errno.EMFILE, "too many files")
        files, kept = Files(*fds[: len(Files._fields)]), fds[len(Files._fields) :]
        return self.start(Order._make(in_memory(files.order)), files, kept)

    def _become(self, parent: int, order: Order, files: Files, kept: list[int]) -> None:
        """Become the command; never return."""
        try:
            os.setsid()
            os.umask(0o077)
            os.chdir(order.cwd)
            for target, fd in enumerate((files.stdin, files.stdout, files.stderr)):
                os.dup2(fd, target)
            for fd in kept:
                os.set_inheritable(fd, True)
            self.become(order, parent)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvpe(order.argv[0], order.argv, order.env)  # noqa: S606 that is its purpose
        except BaseException as error:  # noqa: BLE001 whatever it is, this copy of us must not go on
            os.write(files.told, str(error).encode(errors="replace")[:4096])
        finally:
            os._exit(255)


def in_memory(fd: int) -> tuple[Any, ...]:
    """What the other side wrote into a file that is on no disk."""
    return marshal.loads(os.pread(fd, os.fstat(fd).st_size, 0))  # type: ignore[no-any-return]  # noqa: S302 ours


def prepare() -> None:
    """Be a process that forks: no signal but SIGKILL ends it, and nobody reads its memory.

    Raises OSError.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    for number in _RESTORED:
        signal.signal(number, signal.SIG_DFL)
    switch(DUMPABLE, 0, "PR_SET_DUMPABLE")  # the environments of all runs pass through here


def main() -> None:
    """Answer on stdin until the other side is gone; what was started gets its signal then."""
    prepare()
    with socket.socket(fileno=os.dup(0)) as channel:
        Forker(channel).serve()
