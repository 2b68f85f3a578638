"""Starts commands through a small process of this one's own: see forking.py.

One packet asks, one answers. A command's arguments and environment travel in a file in memory, its
streams as file descriptors. The small process is started by the first command and ends when this
one does, however that ends: then every command gets the signal that it was started with.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from runner.processes.forking import ANSWER, MOST_FDS, REAP, START, Order

_ROOT = Path(__file__).parents[2]
_SCRIPT = "import sys; sys.path.append(sys.argv[1]); from runner.processes import forking"
_FROM_WORKER = ("LD_LIBRARY_PATH",)  # without it some Pythons do not start


@dataclass(frozen=True)
class Streams:
    """What a command reads and writes. It inherits copies of `keep` too, under any number."""

    stdin: int
    stdout: int
    stderr: int
    keep: tuple[int, ...] = ()


class Child:
    """A command that was started. Its pid stays its own until `wait`."""

    def __init__(self, pid: int, starter: _Starter) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)  # it becomes readable when the command ends
        self._starter = starter

    def has_ended(self) -> bool:
        return self._ends_within(0)

    def wait(self) -> int:
        """Wait for its end and reap it; its exit code, or minus the signal that ended it."""
        self._ends_within(None)
        os.close(self.pidfd)
        return self._starter.reap(self.pid)

    def _ends_within(self, milliseconds: int | None) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(milliseconds))


class _Gone(Exception):
    """The small process has ended, and all that it had started were told to."""


class _Starter:
    def __init__(self) -> None:
        """Raises OSError."""
        self._asking = threading.Lock()
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = {name: os.environ[name] for name in _FROM_WORKER if name in os.environ}
        with other:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", f"{_SCRIPT}; forking.main()", str(_ROOT)],
                env=given,
                cwd="/",
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def start(self, files: Sequence[int]) -> Child:
        """Raises OSError and _Gone."""
        return Child(self._ask(START + str(len(files)).encode(), files), self)

    def reap(self, pid: int) -> int:
        try:
            return self._ask(REAP + str(pid).encode(), ())
        except _Gone:
            self.end()
            return _reaped_here(pid)

    def let_go(self) -> None:
        """Close our end: it ends, and what it has started gets its signal."""
        self._channel.close()

    def end(self) -> None:
        self.let_go()
        self._process.wait()

    def _ask(self, packet: bytes, files: Sequence[int]) -> int:
        with self._asking:
            try:
                socket.send_fds(self._channel, [packet], files)
                answer = self._channel.recv(ANSWER.size)
            except OSError as error:
                raise _Gone from error
            except BaseException:  # an answer that nobody took would be taken for the next one
                self.let_go()
                raise
        if not answer:
            raise _Gone
        value, fault = ANSWER.unpack(answer)
        if fault:
            raise OSError(fault, os.strerror(fault))
        return int(value)


_current: _Starter | None = None
_changing = threading.Lock()


def start(order: Order, streams: Streams, ruleset: int | None) -> Child:
    """Start a command, confined by the ruleset if there is one. Raises OSError when it did not."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with FileIO(reader) as told, FileIO(os.memfd_create("order"), "r+") as written:
        try:
            written.write(marshal.dumps(tuple(order)))
            confined = () if ruleset is None else (ruleset,)
            child = _started(
                (
                    *(written.fileno(), writer),
                    *(streams.stdin, streams.stdout, streams.stderr),
                    *confined,
                    *streams.keep,
                )
            )
        finally:
            os.close(writer)
        why = told.read()  # to the end: its exec closes the other end
    if why:
        child.wait()
        raise OSError(why.decode(errors="replace"))
    return child


def pid() -> int | None:
    """The small process, if there is one: a child of this process that is no command."""
    return None if _current is None else _current.pid


def _started(files: Sequence[int]) -> Child:
    if len(files) > MOST_FDS:
        raise ValueError("too many files for one command")
    starter = _there()
    try:
        return starter.start(files)
    except _Gone:
        _forget(starter)
    try:
        return _there().start(files)
    except _Gone as gone:
        raise OSError("the process that starts commands has ended") from gone


def _there() -> _Starter:
    global _current  # noqa: PLW0603 one a process, as its memory is
    with _changing:
        if _current is None:
            _current = _Starter()
        return _current


def _forget(starter: _Starter) -> None:
    global _current  # noqa: PLW0603 as above
    with _changing:
        if _current is starter:
            _current = None
    starter.end()


def _reaped_here(pid: int) -> int:
    """Of a command whose small process has ended: it became our child, if we adopt."""
    with contextlib.suppress(ChildProcessError):
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    return -signal.SIGKILL  # how it really ended, nobody can know


def _after_fork() -> None:
    """A copy of this process starts its commands through a small process of its own."""
    global _current, _changing
    if _current is not None:
        _current.let_go()
    _current, _changing = None, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
