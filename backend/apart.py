"""Run work with large inputs in a process of its own, within limits of memory and CPU time.

A call that decodes 30 MB holds Python's lock for as long as it takes, in whichever thread it is:
no request of the server would be answered. What such work takes of memory is given back when its
process ends, and too much of it ends that process only.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gevent import monkey

from backend.errors import Unavailable
from backend.offload import off_loop

NICENESS = 5  # the server itself goes first
END = b"\0"  # the last byte of a complete answer
_OOM_SCORE = b"500"  # if the machine has no memory left, these end first
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH")
_PIECE = 1 << 20
# gevent's own waits for its event loop, which is in another thread
_waitpid = monkey.get_original("os", "waitpid")


class Exceeded(Exception):
    """The process ended without an answer: most likely it needed more than it may have."""


class Budget:
    """Limits how many bytes of memory such processes may take together. The others wait."""

    def __init__(self, *, seconds: float, refusal: str) -> None:
        self._seconds, self._refusal = seconds, refusal
        self._taken = 0
        self._given_back = threading.Condition()

    @contextmanager
    def take(self, size: int, total: int) -> Iterator[None]:
        """Take so many bytes of the total. Raises Unavailable with `busy` if they are not free."""
        with self._given_back:
            if not self._given_back.wait_for(lambda: self._taken + size <= total, self._seconds):
                raise Unavailable(self._refusal, code="busy")
            self._taken += size
        try:
            yield
        finally:
            with self._given_back:
                self._taken -= size
                self._given_back.notify_all()


def run(  # noqa: PLR0913 each is a promise that the caller has to choose
    module: str,
    pieces: Iterable[bytes],
    *,
    memory: int,
    seconds: int,
    passed_on: Iterable[str] = (),
    started: Callable[[Callable[[int], None]], object] = lambda _signal: None,
) -> bytes:
    """What a module writes to its standard output, before END, when it reads these pieces.

    `memory` is the size of its address space in bytes, `seconds` the CPU time that it may use.
    `passed_on` are names of variables of the environment that it gets too. `started` is told a
    function that sends it a signal, as long as it is there. Raises Exceeded.
    """
    child = _Child(module, passed_on)
    try:
        child.limit(memory, seconds)
        started(child.signal)
        for piece in pieces:
            off_loop(child.write, piece)
        return off_loop(child.finish)
    finally:
        off_loop(child.close)  # it takes a while until much memory is given back


class _Child:
    def __init__(self, module: str, passed_on: Iterable[str]) -> None:
        """Raises Unavailable when the machine has no room for another process."""
        theirs_in, self._in = os.pipe()
        self._out, theirs_out = os.pipe()
        standard = enumerate((theirs_in, theirs_out))
        actions = [*_closing(), *((os.POSIX_SPAWN_DUP2, fd, at) for at, fd in standard)]
        argv = [sys.executable, "-P", "-m", module]
        names = (*_PASSED_ON, *passed_on)
        env = {name: os.environ[name] for name in names if name in os.environ}
        self._pidfd = -1
        try:
            self._pid = os.posix_spawn(sys.executable, argv, env, file_actions=actions)
        except OSError as error:
            self.close()
            raise Unavailable(f"No process can be started: {error}.", code="busy") from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def limit(self, memory: int, seconds: int) -> None:
        """Before it gets anything to read. Raises Exceeded when it has ended."""
        try:
            self._pidfd = os.pidfd_open(self._pid)
            resource.prlimit(self._pid, resource.RLIMIT_AS, (memory, memory))
            resource.prlimit(self._pid, resource.RLIMIT_CPU, (seconds, seconds))
            resource.prlimit(self._pid, resource.RLIMIT_CORE, (0, 0))
            os.setpriority(os.PRIO_PROCESS, self._pid, NICENESS)
            Path(f"/proc/{self._pid}/oom_score_adj").write_bytes(_OOM_SCORE)
        except (ProcessLookupError, FileNotFoundError):
            raise Exceeded from None

    def signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def write(self, piece: bytes) -> None:
        """Raises Exceeded when it has ended."""
        left = memoryview(piece)
        try:
            while left:
                left = left[os.write(self._in, left) :]
        except BrokenPipeError:
            raise Exceeded from None

    def finish(self) -> bytes:
        """Everything that it writes. Raises Exceeded."""
        self._in = _closed(self._in)
        parts = []
        while part := os.read(self._out, _PIECE):
            parts.append(part)
        answer = b"".join(parts)
        if not answer.endswith(END):
            raise Exceeded
        return answer[: -len(END)]

    def close(self) -> None:
        """Kill it if it has not ended."""
        self._in, self._out = _closed(self._in), _closed(self._out)
        if self._pidfd >= 0:
            self.signal(signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # gevent may be first
                _waitpid(self._pid, 0)
        self._pidfd = _closed(self._pidfd)


def _closing() -> Iterator[tuple[int, int]]:
    """Close what a process would inherit, such as the server's listening socket."""
    for entry in Path("/proc/self/fd").iterdir():
        fd = int(entry.name)
        with contextlib.suppress(OSError):  # the one of this listing
            if fd > 2 and os.get_inheritable(fd):  # standard error stays
                yield os.POSIX_SPAWN_CLOSE, fd


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1
