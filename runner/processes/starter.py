"""Starts commands through a small process: see forking.py.

One packet asks, one answers. A command's arguments and environment travel in a file in memory, its
streams as file descriptors. Every run has such a process in its sandbox (room.py). The worker's own
is started by its first command and ends when the worker does, however that ends: then every command
gets the signal that it was started with.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
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

from runner.processes.forking import ANSWER, MOST_FDS, REAP, SIGNAL, START, Answer, Order

_ROOT = Path(__file__).parents[2]
_SCRIPT = "import sys; sys.path.append(sys.argv[1]); from runner.processes import {module}"
_FROM_WORKER = ("LD_LIBRARY_PATH",)  # without it some Pythons do not start
_PATIENCE = 60.0  # seconds: a small process that does not answer is given up


@dataclass(frozen=True)
class Streams:
    """What a command reads and writes. It inherits copies of `keep` too, under any number."""

    stdin: int
    stdout: int
    stderr: int
    keep: tuple[int, ...] = ()


class Child:
    """A command that was started. Its pid is as its starter sees it, and its own until `wait`."""

    def __init__(self, pid: int, pidfd: int, starter: Starter) -> None:
        self.pid = pid
        self.pidfd = pidfd  # it becomes readable when the command ends
        self.exceeded = 0  # after `wait`: the limit of its room that it exceeded, see limits.py
        self._starter = starter

    def has_ended(self) -> bool:
        return ends_within(self.pidfd, 0)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the command, and to what it has started in its group."""
        if number is signal.SIGKILL:  # also when its starter does not answer
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self.pidfd, number)
        self._starter.signal_group(self.pid, number)

    def wait(self) -> int:
        """Wait for its end and reap it; its exit code, or minus the signal that ended it."""
        ends_within(self.pidfd, None)
        os.close(self.pidfd)
        ended = self._starter.reap(self.pid)
        self.exceeded = ended.exceeded
        return ended.value


class Gone(Exception):
    """The small process has ended, and all that it had started were told to."""


class Starter:
    """The small process, as this one sees it."""

    def __init__(self, argv: Sequence[str], keep: Sequence[int] = ()) -> None:
        """Start it; its standard input is the channel. It inherits `keep`. Raises OSError."""
        self._asking = threading.Lock()
        self._said, self._words = FileIO(os.memfd_create("said"), "r+"), b""
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE)
        given = {name: os.environ[name] for name in _FROM_WORKER if name in os.environ}
        with other:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                argv,
                env=given,
                cwd="/",
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._said.fileno(),
                pass_fds=keep,
                start_new_session=True,
                umask=0o022,  # bubblewrap's folders on the way to what a run sees are for its user
            )

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def said(self) -> str:
        """What it said on its standard error."""
        if not self._said.closed:
            size = os.fstat(self._said.fileno()).st_size
            self._words = os.pread(self._said.fileno(), size, 0)
        return self._words.decode(errors="replace").strip()

    def start(self, files: Sequence[int]) -> Child:
        """Raises OSError and Gone."""
        started = self.ask(START + str(len(files)).encode(), files)
        if started.pidfd is None:  # this process may open no more
            self.signal_group(started.value, signal.SIGKILL)
            self.reap(started.value)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return Child(started.value, started.pidfd, self)

    def reap(self, pid: int) -> Answer:
        """How a command ended. Of one whose small process has ended, nobody can know."""
        try:
            return self.ask(REAP + str(pid).encode())
        except Gone:
            self.end()
            return Answer(self._lost(pid))

    def signal_group(self, pid: int, number: int) -> None:
        with contextlib.suppress(Gone):
            self.ask(SIGNAL + f"{pid} {number}".encode())

    def let_go(self) -> None:
        """Close our end: it ends, and what it has started gets its signal."""
        self._channel.close()

    def end(self) -> None:
        """Let go, and wait for its end."""
        self.let_go()
        self._process.wait()
        self.said()
        self._said.close()

    def tell(self, packet: bytes, files: Sequence[int] = ()) -> None:
        """Send what has no answer. Raises OSError."""
        socket.send_fds(self._channel, [packet], files)

    def ask(self, packet: bytes, files: Sequence[int] = ()) -> Answer:
        """Raises OSError when it could not do it, and Gone when it has ended or does not answer."""
        with self._asking:
            try:
                socket.send_fds(self._channel, [packet], files)
                answer = self.listen()
            except OSError as error:
                self.let_go()
                raise Gone from error
            except BaseException:  # an answer that nobody took would be taken for the next one
                self.let_go()
                raise
        if answer.fault:
            raise OSError(answer.fault, os.strerror(answer.fault))
        return answer

    def listen(self) -> Answer:
        """The next answer. Raises Gone at the end."""
        packet, fds, _, _ = socket.recv_fds(self._channel, ANSWER.size, 1)
        if not packet:
            raise Gone
        for fd in fds:
            os.set_inheritable(fd, False)
        value, fault, exceeded = ANSWER.unpack(packet)
        return Answer(value, fault, exceeded, fds[0] if fds else None)

    def _lost(self, pid: int) -> int:
        return _reaped_here(pid)


def command(module: str, python: Path | str, root: Path | str) -> list[str]:
    """The command that starts a module of this package as a small process."""
    script = f"{_SCRIPT.format(module=module)}; {module}.main()"
    return [str(python), "-I", "-S", "-c", script, str(root)]


_current: Starter | None = None
_changing = threading.Lock()


def start(order: Order, streams: Streams, starter: Starter | None = None) -> Child:
    """Start a command, through the worker's own small process or a room's.

    Raises OSError when it did not start, and Gone when the room has ended.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with FileIO(reader) as told, FileIO(os.memfd_create("order"), "r+") as written:
        try:
            written.write(marshal.dumps(tuple(order)))
            files = (
                *(written.fileno(), writer),
                *(streams.stdin, streams.stdout, streams.stderr),
                *streams.keep,
            )
            if len(files) > MOST_FDS:
                raise ValueError("too many files for one command")
            child = starter.start(files) if starter else _started(files)
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


def ends_within(pidfd: int, milliseconds: int | None) -> bool:
    """Whether a process ends in this time; None waits for ever."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _started(files: Sequence[int]) -> Child:
    starter = _there()
    try:
        return starter.start(files)
    except Gone:
        _forget(starter)
    try:
        return _there().start(files)
    except Gone as gone:
        raise OSError("the process that starts commands has ended") from gone


def _there() -> Starter:
    global _current  # noqa: PLW0603 one a process, as its memory is
    with _changing:
        if _current is None:
            _current = Starter(command("forking", sys.executable, _ROOT))
        return _current


def _forget(starter: Starter) -> None:
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


def _at_exit() -> None:
    if _current is not None:
        _forget(_current)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
