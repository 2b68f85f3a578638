"""Other processes: the worker, the server, another run's."""

from __future__ import annotations

import contextlib
import glob
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.hostile.attempts import GIVEN, attempt, checked, libc

_PIDFD_GETFD, _PTRACE_SEIZE, _PTRACE_DETACH = 438, 0x4206, 17


@attempt("see other processes")
def see() -> object:
    return each(lambda pid: _started(pid) is not None)


@attempt("read their environment")
def environ() -> object:
    return each(lambda pid: Path(f"/proc/{pid}/environ").read_bytes())


@attempt("read their memory")
def memory() -> object:
    def read(pid: int) -> object:
        with Path(f"/proc/{pid}/mem").open("rb"):
            return True

    return each(read)


@attempt("take their open files")
def files_of() -> object:
    def take(pid: int) -> object:
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/fd/0")
        pidfd = os.pidfd_open(pid)
        try:
            os.close(checked(libc.syscall(_PIDFD_GETFD, pidfd, 0, 0)))
        finally:
            os.close(pidfd)
        return True

    return each(take)


@attempt("go through their root or folder")
def root_of() -> object:
    return each(lambda pid: os.listdir(f"/proc/{pid}/cwd") and os.listdir(f"/proc/{pid}/root"))


@attempt("trace them")
def trace() -> object:
    def seize(pid: int) -> object:
        checked(libc.ptrace(_PTRACE_SEIZE, pid, 0, 0))
        libc.ptrace(_PTRACE_DETACH, pid, 0, 0)
        return True

    return each(seize)


@attempt("signal them")
def kill() -> object:
    def send(pid: int) -> object:
        os.kill(pid, 0)
        return True

    return each(send)


@attempt("set their limits")
def limit() -> object:
    def same(pid: int) -> object:
        now = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        return resource.prlimit(pid, resource.RLIMIT_NOFILE, now) and True

    return each(same)


@attempt("set their priority")
def priority() -> object:
    def same(pid: int) -> object:
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
        return True

    return each(same)


@attempt("find the worker's secrets in any process")
def canary() -> object:
    """The worker's environment, in whichever process that this one may read."""
    sought = GIVEN["canary"].encode()
    own = _ancestry()
    for name in ("environ", "cmdline"):
        for path in glob.glob(f"/proc/[0-9]*/{name}"):
            with contextlib.suppress(OSError):
                if int(path.split("/")[2]) not in own and sought in Path(path).read_bytes():
                    return path
    return None


def _ancestry() -> set[int]:
    """Itself and its parents: what they were given for the attempt has the canary in it."""
    line, pid = set(), os.getpid()
    while pid > 1 and pid not in line:
        line.add(pid)
        stat_ = Path(f"/proc/{pid}/stat").read_bytes()
        pid = int(stat_.rpartition(b")")[2].split()[1])
    return line


@attempt("live on after the command")
def daemon() -> object:
    """Whether it lives is seen by whom it is connected to."""
    script = (
        "import socket, sys, time\n"
        "connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "connection.sendall(b'x')\nopen(sys.argv[2], 'x')\ntime.sleep(3600)\n"
    )
    begun = os.path.abspath("daemon")
    program = [sys.executable, "-c", script, str(GIVEN["daemon_port"]), begun]
    subprocess.run(
        ["env", "-i", "setsid", "sh", "-c", '"$@" &', "sh", *program],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    until = time.monotonic() + 30
    while not os.path.exists(begun) and time.monotonic() < until:
        time.sleep(0.02)
    return False


def each(tried: Callable[[int], object]) -> list[str]:
    """Which of the others' processes this succeeds with. They are known by more than their pid."""
    found = []
    for name, (pid, started) in GIVEN["processes"].items():
        if _started(pid) not in {None, started}:  # in this namespace the number is somebody else's
            continue
        with contextlib.suppress(OSError):
            if tried(pid):
                found.append(name)
    return found


def _started(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(text.rpartition(b")")[2].split()[19])
