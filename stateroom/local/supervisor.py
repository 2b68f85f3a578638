"""`stateroom up`: server and worker on one machine, kept alive, and stopped in the right order.

The worker stops first, while the server still takes the states of the runs that it interrupts.
The server's standard input is a pipe that this process and the worker hold open, so it outlives
both, and neither outlives a `kill -9` of this process for long.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from runner.processes import signals
from runner.processes.prctl import die_with

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0  # who lived so long starts again without a pause
WRONG_SETTING = 2  # the exit status of a process that cannot start, however often it tries
SERVER_SECONDS = 40.0  # the server's own grace for requests under way, and a little

Explain = Callable[[int, signal.Signals, float], None]  # the worker's pid, the signal, its seconds

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WAKES = frozenset({*_STOPS, signal.SIGCHLD})
_KILL = (signal.SIGKILL, 5.0)
_PASSED_ON = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "TERM", "NO_COLOR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)

log = structlog.get_logger()


@dataclass
class Child:
    """A process of ours: `stateroom NAME ARGUMENTS`, started again when it dies."""

    name: str
    arguments: Sequence[str]
    keep_fds: tuple[int, ...] = ()
    stdin: int = subprocess.DEVNULL
    dies_with_parent: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    due: float = field(default=0.0, init=False)
    pause: float = field(default=0.0, init=False)

    def start(self, environment: Mapping[str, str]) -> None:
        # -P: never a folder `stateroom` that happens to lie in the current folder
        argv = [sys.executable, "-P", "-m", "stateroom", self.name, *self.arguments]
        self.process = subprocess.Popen(
            argv,
            env=environment,
            stdin=self.stdin,
            pass_fds=self.keep_fds,
            start_new_session=True,  # Ctrl-C is for this process, which knows the order
            preexec_fn=_entry(self.dies_with_parent),  # noqa: PLW1509 - there is one thread
        )
        self.started = time.monotonic()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, number: signal.Signals) -> None:
        if self.process is not None and self.is_running():
            self.process.send_signal(number)

    def plan_restart(self, status: int) -> None:
        """Back off: 1, 2, 4 … 30 seconds, and from the beginning after a healthy life."""
        lived = time.monotonic() - self.started
        again = min(self.pause * 2, LONGEST_PAUSE_SECONDS) or FIRST_PAUSE_SECONDS
        self.pause = 0.0 if lived > HEALTHY_SECONDS else again
        self.due = time.monotonic() + self.pause
        self.process = None
        log.error("process_died", name=self.name, status=status, restart_in_seconds=self.pause)


def run(  # noqa: PLR0913 what both processes need, and what to tell about them
    settings: Mapping[str, str],
    listener_fd: int,
    family_fd: int,
    worker_grace: float,
    ready: Callable[[], None],
    explain: Explain,
) -> int:
    """Run both until SIGINT (runs at work save and end) or SIGTERM (they end by themselves).

    Each further signal goes one step on: SIGTERM, SIGINT, SIGKILL to the worker; `explain` is
    called before each step. `settings` are STATEROOM_… variables; both keep `family_fd` open;
    `worker_grace`: seconds for a run to save. Calls `ready` when both have been started. Returns
    the exit status: not 0 when one of them cannot start at all.
    """
    reading, writing = os.pipe()
    fd = str(listener_fd)
    given = (listener_fd, family_fd)
    server = Child("server", ["--listen-fd", fd, "--until-end-of-input"], given, reading)
    worker = Child("worker", [], (writing, family_fd), dies_with_parent=True)
    environment = _environment(settings)
    with _signals_waited_for():
        for child in (server, worker):
            child.start(environment)
        ready()
        heard = _watch((server, worker), environment)
        save_and_end = ((signal.SIGINT, worker_grace), _KILL)
        patient = ((signal.SIGTERM, math.inf), *save_and_end)
        _stop(worker, patient if heard == signal.SIGTERM else save_and_end, explain)
        _stop(server, ((signal.SIGTERM, SERVER_SECONDS), _KILL))
    return 0 if heard else WRONG_SETTING


def _watch(children: Sequence[Child], environment: Mapping[str, str]) -> int | None:
    """Keep the children alive until a signal says stop: that one; None when one cannot start."""
    while True:
        for child in children:
            status = child.process.poll() if child.process else None
            if status == WRONG_SETTING:
                return None
            if status is not None:
                child.plan_restart(status)
            if child.process is None and child.due <= time.monotonic():
                child.start(environment)
        heard = _wait(_next_due(children))
        if heard in _STOPS:
            return heard


def _next_due(children: Sequence[Child]) -> float:
    due = [child.due for child in children if child.process is None]
    return min(due, default=math.inf)


def _stop(
    child: Child, rungs: Sequence[tuple[signal.Signals, float]], explain: Explain | None = None
) -> None:
    """Send the next signal when the seconds of the one before are over, or when asked again."""
    for number, seconds in rungs:
        if explain is not None and child.process is not None and child.is_running():
            explain(child.process.pid, number, seconds)
        child.stop(number)
        deadline = time.monotonic() + seconds
        while child.is_running() and time.monotonic() < deadline:
            if _wait(deadline) in _STOPS:
                break
        if not child.is_running():
            return
        log.warning("process_did_not_end", name=child.name, signal=number.name)


def _wait(until: float) -> signal.Signals | None:
    """The next signal of interest, or None when it is time."""
    return signals.wait_for(_WAKES, until - time.monotonic())


@contextmanager
def _signals_waited_for() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAKES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """An allow-list: what a shell happens to export is not for the processes that run tools."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(settings)


def let_signals_in() -> None:
    """In a child, first of all: until here the signals of its parent have waited.

    Python would turn an early SIGINT into a KeyboardInterrupt, and lose it in some callback.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKES)


def _entry(dies_with_parent: bool) -> Callable[[], None]:  # noqa: FBT001 - a fact of the child
    """What the child does between fork and exec; the signals stay blocked until let_signals_in."""
    parent = os.getpid()

    def enter() -> None:
        if dies_with_parent:
            die_with(parent, signal.SIGINT)

    return enter
