"""Commands, from their start to the end of everything that they have started.

A command gets a list of arguments, the environment that is given and no other, a session of its
own, a deadline, and SIGINT when its parent dies. It ends with everything that it has started. With
a room it runs in the sandbox of a run: then its folder and arguments are as that room sees them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import selectors
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO

from runner.errors import ToolError
from runner.events import StopLevel
from runner.processes import starter
from runner.processes.forking import Order
from runner.processes.ladder import Ladder, Rung, go_on, tell_nobody
from runner.processes.leftovers import kill_marked, marked
from runner.processes.room import Room
from runner.processes.starter import Child, Streams

_PIPE_BYTES = 1 << 20  # an unprivileged process may ask for that much
_READ_BYTES = 1 << 16
_ERRORS_BYTES = 64 << 20  # of standard error, all of which is kept in memory
_FROM_WORKER = (
    *("TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)

__all__ = [
    "Captured",
    "Completed",
    "StopLevel",
    "capture",
    "child_environment",
    "go_on",
    "run",
]

Sink = Callable[[bytes], None]


@dataclass(frozen=True)
class Completed:
    """`exceeded` is the limit of its room that the command exceeded (limits.py), or 0."""

    returncode: int
    exceeded: int = 0


@dataclass(frozen=True)
class Captured:
    returncode: int
    stdout: bytes
    stderr: bytes
    exceeded: int = 0


def child_environment(home: Path, tmp: Path, path: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a command: an allow-list, then `extra`, which wins."""
    kept = {name: os.environ[name] for name in _FROM_WORKER if os.environ.get(name)}
    own = {"PATH": path, "HOME": str(home), "TMPDIR": str(tmp), "LANG": "C.UTF-8"}
    return {**kept, **own, **extra}


def run(  # noqa: PLR0913 - each is a promise that the caller has to choose
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    output: Sink | None,
    deadline: float,
    stop: Callable[[], StopLevel] = go_on,
    stop_grace: float = 10.0,
    told: Callable[[Rung], None] = tell_nobody,
    stdin: bytes | None = None,
    room: Room | None = None,
) -> Completed:
    """Run a command to its end; `output` gets what it says, both streams merged, as it comes.

    `told` hears of each signal that it gets.

    Seconds. Raises Stopped (`canceled`, `timed-out`; its `returncode` is set) when it was stopped,
    and ToolError `not-started`. When `stop` or `output` raises, the command is stopped first.
    """
    ladder = Ladder(stop, deadline, stop_grace, told)
    with _pipe() as (reader, writer):
        start = _Start(argv, env, cwd, stdin, room, writer, writer, (reader.fileno(),))
        return _attend(start, {reader: output or _discard}, ladder)


def capture(  # noqa: PLR0913 - as run
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    deadline: float,
    limit: int = 64 << 20,
    stop: Callable[[], StopLevel] = go_on,
    stop_grace: float = 10.0,
    stdin: bytes | None = None,
    room: Room | None = None,
    into: IO[bytes] | None = None,
) -> Captured:
    """Run a command to its end, and return what it said on each stream: `limit` bytes at most.

    With `into` its output is written into that file instead. Raises what `run` raises, and
    ToolError `output-too-large` and `output-unwritten`.
    """
    ladder = Ladder(stop, deadline, stop_grace)
    err = _Bounded(argv, min(limit, _ERRORS_BYTES))
    out = _Bounded(argv, limit) if into is None else _Written(argv, limit, into)
    with _pipe() as (out_reader, out_writer), _pipe() as (err_reader, err_writer):
        keep = (out_reader.fileno(), err_reader.fileno())
        start = _Start(argv, env, cwd, stdin, room, out_writer, err_writer, keep)
        done = _attend(start, {out_reader: out, err_reader: err}, ladder)
    return Captured(done.returncode, bytes(out.said), bytes(err.said), done.exceeded)


@dataclass(frozen=True)
class _Start:
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stdin: bytes | None
    room: Room | None
    stdout: FileIO
    stderr: FileIO
    # the reading ends: a Go program whose stdout has no reader dies of SIGPIPE, so without them
    # terraform, interrupted because its parent was killed, would neither save nor unlock
    keep: tuple[int, ...] = ()


class _Bounded:
    """A sink that keeps everything, up to a limit."""

    def __init__(self, argv: Sequence[str], limit: int) -> None:
        self.said = bytearray()
        self._name, self._limit = Path(argv[0]).name, limit

    def __call__(self, chunk: bytes) -> None:
        self.said += chunk
        if len(self.said) > self._limit:
            raise self._too_large()

    def _too_large(self) -> ToolError:
        return ToolError("output-too-large", f"{self._name} said more than {self._limit:,} bytes.")


class _Written(_Bounded):
    """A sink that writes everything into a file, up to a limit."""

    def __init__(self, argv: Sequence[str], limit: int, file: IO[bytes]) -> None:
        super().__init__(argv, limit)
        self._file, self._size = file, 0

    def __call__(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise self._too_large()
        try:
            self._file.write(chunk)
        except OSError as error:
            raise ToolError(
                "output-unwritten",
                f"What {self._name} said could not be written to the disk: {error.strerror}.",
            ) from error


def _attend(start: _Start, sinks: Mapping[FileIO, Sink], ladder: Ladder) -> Completed:
    """Start the command, follow it to its end, and end what it left behind."""
    name = Path(start.argv[0]).name
    if ladder.due():
        raise ladder.stopped(name)
    child, mark = _spawn(start, signal.SIGINT)
    start.stdout.close()
    start.stderr.close()
    try:
        _follow(child, sinks, ladder)
    except BaseException:  # whatever `stop` or `output` raises: the command saves and ends first
        ladder.give_up()
        _follow(child, dict.fromkeys(sinks, _discard), ladder)
        raise
    finally:
        code = _end_all(child, start, mark)
    for reader, sink in sinks.items():
        _drain(reader, sink)
    if ladder.reason:
        stopped = ladder.stopped(name)
        stopped.returncode = code
        raise stopped
    return Completed(code, child.exceeded)


def _spawn(start: _Start, at_parents_death: signal.Signals) -> tuple[Child, str]:
    mark = secrets.token_hex(16)
    order = Order(
        [os.fspath(word) for word in start.argv],
        marked({**start.env, "PWD": os.fspath(start.cwd)}, mark),  # both tools prefer it to getcwd
        os.fspath(start.cwd),
        int(at_parents_death),
    )
    try:
        with FileIO(os.devnull) if start.stdin is None else _in_memory(start.stdin) as stdin:
            streams = Streams(
                stdin.fileno(), start.stdout.fileno(), start.stderr.fileno(), start.keep
            )
            begin = start.room.start if start.room else starter.start
            child = begin(order, streams)
    except OSError as error:
        raise ToolError("not-started", f"{start.argv[0]} could not be started: {error}") from error
    return child, mark


def _follow(child: Child, sinks: Mapping[FileIO, Sink], ladder: Ladder) -> None:
    """Pass on what the child says, and send what is due, until it has ended. It is not reaped."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(child.pidfd, selectors.EVENT_READ)
        for reader, sink in sinks.items():
            selector.register(reader, selectors.EVENT_READ, sink)
        ended = False
        while not ended:
            for key, _ in selector.select(ladder.pause()):
                if key.fd == child.pidfd:
                    ended = True
                elif _pass_on(key.fd, key.data) == 0:
                    selector.unregister(key.fileobj)
            due = None if ended else ladder.due()
            if due:
                child.signal_group(due)


def _pass_on(fd: int, sink: Sink) -> int | None:
    """Pass one chunk on; its length, 0 at the end, None when there is nothing to read now."""
    try:
        chunk = os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return None
    if chunk:
        sink(chunk)
    return len(chunk)


def _drain(reader: FileIO, sink: Sink) -> None:
    """Pass on what the ended command left in the pipe, and no more, whoever still writes."""
    left = _PIPE_BYTES
    while left > 0 and (length := _pass_on(reader.fileno(), sink)):
        left -= length


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[FileIO, FileIO]]:
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    with FileIO(read_fd, "r") as reader, FileIO(write_fd, "w") as writer:
        os.set_blocking(read_fd, False)
        with contextlib.suppress(
            PermissionError
        ):  # the user has many pipes: the usual size will do
            fcntl.fcntl(read_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        yield reader, writer


def _in_memory(content: bytes) -> FileIO:
    """A file that was never on a disk."""
    file = FileIO(os.memfd_create("stdin"), "r+")
    file.write(content)
    file.seek(0)
    return file


def _discard(chunk: bytes) -> None:
    """Nobody wants to know."""


def _end_all(child: Child, start: _Start, mark: str) -> int:
    """Kill what is left of the command, reap it, and return its exit code."""
    child.signal_group(signal.SIGKILL)  # not reaped yet: the number is still its own
    if not start.room:  # else its warden ends what is left of it
        kill_marked(mark, child.pid)
    return child.wait()
