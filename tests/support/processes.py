"""Real processes of a test: started with a log file, found by pid, never by name."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from tests.support.required import missing

Found = TypeVar("Found")

PORTS = (15_000, 32_768)  # above the well-known ones, below those of clients
PORTS_HELD = 200
_HELD: deque[int] = deque()  # descriptors of sockets


def dying_with_us(argv: Sequence[object]) -> list[str]:
    """The command line of a process that is killed as soon as the one that starts it has ended.

    pytest may be killed before a fixture can stop anything. The kernel counts the thread that
    starts the process: start it in one that lives as long as the tests.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        missing("setpriv (of util-linux) is not installed")
    return [setpriv, "--pdeathsig", "KILL", "--", *map(str, argv)]


class Process:
    """One child of the test in a session of its own, whose output goes to a file.

    It is killed when the process of the test ends without having stopped it.
    """

    def __init__(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                dying_with_us(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def descendants(self) -> list[psutil.Process]:
        """Its children, their children, and so on; none if it has ended."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def interrupt_group(self) -> None:
        """Send what Ctrl-C sends in a terminal."""
        os.killpg(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """End this process alone, with kill -9."""
        self._child.kill()
        self._child.wait()

    def kill_tree(self) -> None:
        """Kill this process and its descendants, with kill -9."""
        family = self.descendants()
        self.kill()
        kill_all(family)

    def wait(self, seconds: float = 60.0) -> int:
        return self._child.wait(seconds)

    def stop(self, seconds: float = 20.0) -> None:
        """SIGTERM, and kill -9 when that is not obeyed: then it raises AssertionError."""
        if not self.running:
            return
        family = self.descendants()
        self._child.terminate()
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill_tree()
            raise AssertionError(
                f"{self._child.args!r} did not stop within {seconds} s:\n{self.said()[-4000:]}"
            ) from None
        _, alive = psutil.wait_procs(family, timeout=5.0)
        kill_all(alive)
        assert not alive, f"{self._child.args!r} left {alive}"


def kill_all(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def free_port() -> int:
    """A loopback port that nobody listens on, and that no other test gets for a while.

    It is none of those that the kernel gives to clients: one of them might take it before the
    server does that it is meant for.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        if _hold(port) and _is_free(port):
            return port


def _hold(port: int) -> bool:
    """Tell the tests in other processes, by an abstract socket, until it is one of the oldest."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0stateroom-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _HELD.append(claim.detach())
    if len(_HELD) > PORTS_HELD:
        os.close(_HELD.popleft())
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(
    found: Callable[[], Found | None], what: str, *, seconds: float = 90.0, every: float = 0.02
) -> Found:
    """The first answer that is not empty. Raises AssertionError, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        time.sleep(every)
    return answer


def living_in(folder: Path, name: str = "") -> list[psutil.Process]:
    """Processes (of that name) that work in a folder, or have it in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and _lives_in(process, folder):
                found += [process] if name in {"", process.name()} else []
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found


def _lives_in(process: psutil.Process, folder: Path) -> bool:
    sought = f"{folder}/"
    if f"{process.cwd()}/".startswith(sought) or _finds(process, folder):
        return True
    return any(sought in f"{value}/" for value in process.environ().values())


def _finds(process: psutil.Process, folder: Path) -> bool:
    """Whether a process in a sandbox has a folder of a run in this one as its own."""
    mounts = Path(f"/proc/{process.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    device = folder.stat().st_dev
    above = "/" if folder.is_mount() else f"/{folder.parent.parent.name}/{folder.parent.name}/"
    return any(
        at == "/stateroom" and where == f"{os.major(device)}:{os.minor(device)}" and above in root
        for _, _, where, root, at, *_ in (line.split() for line in mounts)
    )
