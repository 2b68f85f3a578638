"""The first process in the sandbox of a run: it starts, limits and ends the run's commands.

When its worker is gone the command at work gets one SIGINT, and the time to save its state. What is
left of a command ends with it, and everything ends with this process where the sandbox has
namespaces. It holds the lock on the run's folder (workdir.py): as long as it lives, the run's
commands may be at work there.

It imports next to nothing, as forking.py.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import time
from typing import NamedTuple

from runner.processes import landlock, proc
from runner.processes.forking import Answer, Files, Forker, Order, in_memory, prepare
from runner.processes.limits import Usage, Watch
from runner.processes.prctl import CHILD_SUBREAPER, switch

_LAST_SECONDS = 5.0  # a killed process that hangs in the kernel is not waited for


class Boot(NamedTuple):
    """What a warden is told first."""

    user: int  # the user and group of the commands, or -1 for the warden's own
    is_first: bool  # whether it is the first process of a namespace of its own
    abi: int  # Landlock's number, or 0 for none
    rules: list[tuple[str, int]]
    resources: list[tuple[int, int]]  # limits of each process: RLIMIT_… and its value
    usage: tuple[int, int, int, int]  # limits of all together, as Usage
    folder: str  # the run's own, whose size is limited
    grace: float  # seconds from an interrupt to the end


class Warden(Forker):
    """The forker of one run. One command at a time."""

    pause = 250

    def __init__(self, channel: socket.socket, boot: Boot) -> None:
        super().__init__(channel)
        self._boot = boot
        self._ruleset = landlock.ruleset(boot.abi, boot.rules) if boot.abi else None
        self._watch = Watch(Usage(*boot.usage), boot.folder)
        self._is_first = boot.is_first and os.getpid() == 1
        self._command = 0
        self._interrupted_at: float | None = None

    def become(self, order: Order, parent: int) -> None:
        for number, most in self._boot.resources:
            _limit(number, most)
        if self._boot.user >= 0:
            os.setgroups([])
            os.setgid(self._boot.user)
            os.setuid(self._boot.user)
        super().become(order, parent)  # the kernel forgets the signal when the user changes
        if self._ruleset is not None:
            landlock.enter(self._ruleset)

    def start(self, order: Order, files: Files, kept: list[int]) -> Answer:
        answer = super().start(order, files, kept)
        self._command, self._interrupted_at = answer.value, None
        self._watch.begin()
        return answer

    def signal_group(self, pid: int, number: int) -> None:
        if number == signal.SIGINT and self._interrupted_at is None:
            self._interrupted_at = time.monotonic()
        super().signal_group(pid, number)

    def reap(self, pid: int) -> Answer:
        answer = super().reap(pid)
        if answer.value:
            self._watch.look_last(self._pids())
        self._command = 0
        self._end_the_rest()
        return answer._replace(exceeded=self._watch.exceeded)

    def idle(self) -> None:
        """Look whether the run takes more than it may, and end what takes it."""
        if not self._command:
            return
        self._reap_strays()
        too_many = self._watch.look(self._pids(), self._command)
        if len(too_many) == 1:
            _signal(too_many[0], signal.SIGKILL)
        elif too_many:
            self._halt(spared=self._command)
        if self._watch.is_over:
            self._interrupt()

    def outlive(self) -> None:
        """The other side is gone: let the command at work save and end, then end."""
        with contextlib.suppress(OSError):
            if self._command:
                if self._interrupted_at is None:  # a second one would keep it from saving
                    self.signal_group(self._command, signal.SIGINT)
                # as long as a canceled tool has, which gets a second interrupt in between
                _wait(self._command, 2 * self._boot.grace)
        self._command = 0
        self._end_the_rest()

    def _interrupt(self) -> None:
        """One SIGINT to the command; after the grace, and never before, SIGKILL."""
        if self._interrupted_at is None:
            self.signal_group(self._command, signal.SIGINT)
        elif time.monotonic() - self._interrupted_at > self._boot.grace:
            self.signal_group(self._command, signal.SIGKILL)

    def _pids(self) -> list[int]:
        if self._is_first:
            return [pid for pid in proc.pids() if pid != 1]
        return proc.descendants(os.getpid())

    def _reap_strays(self) -> None:
        """Let go of the dead whose parents died before them: they count as processes."""
        with contextlib.suppress(ChildProcessError):
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            while (dead := os.waitid(os.P_ALL, 0, flags)) and dead.si_pid != self._command:
                os.waitpid(dead.si_pid, 0)

    def _end_the_rest(self) -> None:
        """Kill what is left of a command, again and again until nobody is."""
        end = time.monotonic() + _LAST_SECONDS
        while time.monotonic() < end:
            self._kill()
            try:
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            except ChildProcessError:
                return
            time.sleep(0.002)

    def _kill(self) -> None:
        """In one step, where the run has a user or a namespace: who forks cannot run away then."""
        if self._is_first:
            _signal(-1, signal.SIGKILL)
        elif self._boot.user >= 0:
            _kill_all_of(self._boot.user)
        else:
            self._halt(spared=0)

    def _halt(self, spared: int) -> None:
        """Kill all but one: first they are stopped, because who is stopped cannot fork."""
        stopped: set[int] = set()
        end = time.monotonic() + _LAST_SECONDS
        while (new := {*self._pids()} - stopped - {spared}) and time.monotonic() < end:
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            stopped |= new
        for pid in stopped:
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill_all_of(user: int) -> None:
    """Kill every process of a user, by a process that is one of them and may kill no other."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(user)
            os.setuid(user)
            if os.getuid() == os.geteuid() == user:
                os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _limit(number: int, most: int) -> None:
    _, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(number, (most, most))


def _wait(pid: int, seconds: float) -> None:
    """Wait for the end of a child, without reaping it."""
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(seconds * 1000)
    os.close(pidfd)


def _keep_open_files() -> None:
    """Let no command inherit what this process was given.

    Of all things the locks: whoever has one open can let go of it. And an open folder outside of a
    namespace is a way out of it.
    """
    with os.scandir("/proc/self/fd") as entries:
        for name in [entry.name for entry in entries]:
            with contextlib.suppress(OSError):  # the one that this list was read from
                os.set_inheritable(int(name), False)


def main() -> None:
    """Take the Boot from stdin, say who we are, then answer until the other side is gone."""
    prepare()
    _keep_open_files()
    switch(CHILD_SUBREAPER, 1, "PR_SET_CHILD_SUBREAPER")
    with socket.socket(fileno=os.dup(0)) as channel:
        _, (told,), _, _ = socket.recv_fds(channel, 1, 1)
        boot: Boot = Boot._make(in_memory(told))
        os.close(told)
        warden = Warden(channel, boot)
        warden.say(Answer(os.getpid(), pidfd=os.pidfd_open(os.getpid())))
        try:
            warden.serve()
        finally:
            warden.outlive()
            os._exit(0)  # nothing is left that an orderly end would have to put away
