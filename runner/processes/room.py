"""The room of a run: a sandbox with a warden in it, which starts the run's commands (warden.py)."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import marshal
import os
import resource
import signal
import stat
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory

from runner.errors import ToolError
from runner.job import RoomLimits, SandboxMode
from runner.processes import bubblewrap, landlock, starter, workdir
from runner.processes.forking import Answer, Order
from runner.processes.sandbox import Layer, Sandbox, View, check, is_root, landlock_rules
from runner.processes.starter import Child, Gone, Starter, Streams
from runner.processes.warden import Boot
from runner.processes.workdir import WorkDir

_SOURCES = Path(__file__).resolve().parents[2]
_START = b"B"
_CPU_MARGIN = 30  # seconds of one process, after which no interrupt was heard


@dataclass(frozen=True)
class Terms:
    """What a room is opened with, besides its folder."""

    mode: SandboxMode = "auto"
    view: View = field(default_factory=View)
    limits: RoomLimits = field(default_factory=RoomLimits)
    grace: float = 300.0  # seconds that an interrupted command has until it is killed
    users: tuple[int, int] = (1_900_000_000, 100_000_000)  # the first, and how many


_OUR_PYTHON = View((Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve()))


class Room:
    """Starts commands in the sandbox of one run. `seen` is the run's folder as they see it."""

    def __init__(
        self,
        sandbox: Sandbox,
        warden: _Warden,
        work: WorkDir,
        view: View,
        user: int | None,
    ) -> None:
        self.sandbox, self.view, self.user = sandbox, view, user
        self.seen = WorkDir(bubblewrap.ROOT) if sandbox.is_full else work.seen
        self._warden, self._work = warden, work
        self._kept: list[int] = []
        self._shown = bubblewrap.shown(view) if sandbox.is_full else _readable(sandbox, work, view)

    @property
    def pid(self) -> int:
        """The warden: every process of the run descends from it. Raises ToolError as `start`."""
        return self._warden.greeted()

    def inside(self, path: Path) -> Path:
        """A path in the run's folder, as its commands see it."""
        return self.seen.root / path.relative_to(self._work.root)

    def seen_in(self, environment: Mapping[str, str]) -> dict[str, str]:
        """An environment in which the paths in the run's folder are as its commands see them."""
        ours, seen = str(self._work.root), str(self.seen.root)
        return {name: value.replace(ours, seen) for name, value in environment.items()}

    def start(self, order: Order, streams: Streams) -> Child:
        """Raises OSError, and ToolError `sandbox-unavailable` or `sandbox-ended` without a room."""
        self._warden.greeted()
        try:
            return starter.start(order, streams, self._warden)
        except Gone:
            raise self._warden.failed() from None

    def hides(self, value: str) -> bool:
        """Whether this text is the path of something on the machine that the run cannot see."""
        if not value.startswith("/") or len(value) > 4096 or "\0" in value:
            return False
        path = Path(os.path.normpath(value))
        return not any(path.is_relative_to(folder) for folder in self._shown) and path.exists()

    def keep_open(self, fd: int) -> None:
        """Close an open file, which may hold a lock, when the room is closed."""
        self._kept.append(fd)

    def close_kept(self) -> None:
        while self._kept:
            os.close(self._kept.pop())

    def hand_over(self, path: Path) -> None:
        """Give the run's user what the worker has written into its folder. Raises OSError."""
        if self.user is not None:
            _give(path, self.user)


@contextlib.contextmanager
def opened(work: WorkDir, terms: Terms) -> Iterator[Room]:
    """A room for as long as the block runs; nobody is left in it afterwards.

    Raises ToolError `sandbox-unavailable`.
    """
    sandbox = chosen(terms.mode, work.root.parent, terms.users)
    check(terms.mode, sandbox)
    with _in_layer(sandbox, work, terms) as room:
        yield room


@contextlib.contextmanager
def _in_layer(sandbox: Sandbox, work: WorkDir, terms: Terms) -> Iterator[Room]:
    with contextlib.ExitStack() as held:
        user = keep = None
        if sandbox.layer in ("namespaces", "user") and is_root():
            user, keep = held.enter_context(_user(work.root.parent, terms.users))
        kept = [*work.locks, *([] if keep is None else [keep])]
        try:
            warden = _started(sandbox, work, terms, user, kept)
        except OSError as error:
            raise ToolError(
                "sandbox-unavailable", f"The sandbox of this run did not start: {error}"
            ) from error
        held.callback(warden.end)
        room = Room(sandbox, warden, work, terms.view, user)
        held.callback(room.close_kept)
        room.hand_over(work.root)
        yield room


class _Warden(Starter):
    """The warden, as the worker sees it."""

    def __init__(self, argv: Sequence[str], keep: Sequence[int], boot: Boot) -> None:
        super().__init__(argv, keep)
        self._is_alone = boot.is_first  # then its namespace ends with it
        self._first: int | None = None
        self._pid = 0
        with FileIO(os.memfd_create("boot"), "r+") as written:
            written.write(marshal.dumps(tuple(boot)))
            try:
                self.tell(_START, (written.fileno(),))
            except OSError:  # it has ended already
                super().end()
                raise

    def greeted(self) -> int:
        """Wait until it is there; its pid as this process sees it. Raises ToolError."""
        with self._asking:
            if self._first is None:
                try:
                    hello: Answer = self.listen()
                except (Gone, OSError):
                    raise self.failed() from None
                if hello.pidfd is None:
                    raise self.failed()
                self._first, self._pid = hello.pidfd, _pid_of(hello.pidfd)
        return self._pid

    def failed(self) -> ToolError:
        if self._pid:
            return ToolError("sandbox-ended", "The first process of the run's sandbox was killed.")
        said = self.said().splitlines() or ["its first process was killed."]
        return ToolError("sandbox-unavailable", f"The run's sandbox did not start: {said[-1]}")

    def end(self) -> None:
        """End the warden and with it everything in a namespace; nothing else is at work now."""
        self.let_go()
        if self._first is not None:
            if self._is_alone or not starter.ends_within(self._first, 10_000):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(self._first, signal.SIGKILL)
            os.close(self._first)
            self._first = None
        super().end()

    def _lost(self, pid: int) -> int:  # noqa: ARG002 it is a number of the namespace
        return -signal.SIGKILL


def _started(
    sandbox: Sandbox, work: WorkDir, terms: Terms, user: int | None, kept: list[int]
) -> _Warden:
    """Raises OSError."""
    boot = Boot(
        -1 if user is None else user,
        sandbox.is_full,
        sandbox.abi,
        _rules(sandbox, work, terms.view),
        _resources(terms.limits, counts_processes=user is not None or sandbox.is_full),
        (terms.limits.memory, terms.limits.processes, terms.limits.disk, terms.limits.cpu),
        str(bubblewrap.ROOT if sandbox.is_full else work.root),
        terms.grace,
    )
    bwrap = bubblewrap.program()
    if not sandbox.is_full or bwrap is None:
        return _Warden(starter.command("warden", sys.executable, _SOURCES), kept, boot)
    number = os.getuid() if user is None else user
    home = f"{bubblewrap.ROOT}/home"
    with (
        _file(f"run:x:{number}:{number}::{home}:/bin/sh\n") as passwd,
        _file(f"run:x:{number}:\n") as group,
    ):
        files = passwd.fileno(), group.fileno()
        argv = bubblewrap.argv(bwrap, work, terms.view, *files)
        return _Warden(argv, [*kept, *files], boot)


def _rules(sandbox: Sandbox, work: WorkDir, view: View) -> list[landlock.Rule]:
    if not sandbox.abi:
        return []
    return bubblewrap.landlock_rules() if sandbox.is_full else landlock_rules(work.root, view)


def _readable(sandbox: Sandbox, work: WorkDir, view: View) -> list[Path]:
    rules = landlock_rules(work.root, view) if sandbox.abi else [("/", landlock.READ)]
    return [Path(path) for path, _ in rules]


def _resources(limits: RoomLimits, *, counts_processes: bool) -> list[tuple[int, int]]:
    """The kernel's limits of each process. It counts processes for a whole user (or namespace).

    Those of memory and CPU time are above the run's: the warden sees it first, and can say so.
    """
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_DATA, limits.memory + limits.memory // 2),
        (resource.RLIMIT_FSIZE, limits.disk),
        (resource.RLIMIT_CPU, limits.cpu and limits.cpu + _CPU_MARGIN),
    ]
    if counts_processes:
        wanted.append((resource.RLIMIT_NPROC, limits.processes))
    return [(number, most) for number, most in wanted if most or number == resource.RLIMIT_CORE]


def _file(text: str) -> FileIO:
    file = FileIO(os.memfd_create("file"), "r+")
    file.write(text.encode())
    file.seek(0)
    return file


@contextlib.contextmanager
def _user(folder: Path, users: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """A user that no other run has now, and the open file that keeps it so.

    Each installation begins at a number of its own, so that two on one machine do not meet.
    """
    first, count = users
    at = zlib.crc32(os.fsencode(folder.resolve()))
    held = workdir.locks(folder, "users")
    for number in range(count):
        user = first + (at + number) % count
        fd = os.open(held / str(user), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        try:
            yield user, fd
        finally:
            os.close(fd)
        return
    raise ToolError("sandbox-unavailable", "Every user of STATEROOM_SANDBOX_USERS has a run.")


def _give(path: Path, user: int) -> None:
    """Change the owner of a file, or of a folder with all that is in it. No link is followed."""
    os.chown(path, user, user, follow_symlinks=False)
    if path.is_symlink() or not path.is_dir():
        return
    for _, folders, files, fd in os.fwalk(path):
        for name in (*folders, *files):
            os.chown(name, user, user, dir_fd=fd, follow_symlinks=False)


@functools.cache
def chosen(mode: SandboxMode, root: Path, users: tuple[int, int]) -> Sandbox:
    """The best layer that works here for this mode, tried once. `root` has the folders of runs."""
    if mode == "none":
        return Sandbox("none", 0, "STATEROOM_SANDBOX=none.")
    abi = landlock.version()
    why: list[str] = []
    for layer in _layers(mode, abi):
        # who asks for a layer by name may have other tools than the Terraform in the wheel
        program = "/bin/sh" if layer == mode else sys.executable
        reason = _tried(Sandbox(layer, abi), root, users, program)
        if not reason:
            return Sandbox(layer, abi, " ".join(why))
        why.append(f"{layer}: {reason}")
    return Sandbox("none", 0, " ".join(why) or "the kernel has no Landlock.")


def _layers(mode: SandboxMode, abi: int) -> list[Layer]:
    wanted: list[Layer] = ["namespaces", "user", "landlock"]
    if mode in ("user", "landlock"):
        wanted = [mode]
    return [layer for layer in wanted if layer != "landlock" or abi]


def _tried(sandbox: Sandbox, root: Path, users: tuple[int, int], program: str) -> str:
    """Open a room and start a program in it; what went wrong, or nothing."""
    if sandbox.layer == "namespaces" and bubblewrap.program() is None:
        return "bubblewrap (bwrap) is not installed."
    if sandbox.layer == "user" and not is_root():
        return "the worker is not root."
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sandbox.layer == "user":
        _let_through(root)
    with TemporaryDirectory(prefix=".try-", dir=root) as folder:
        work = WorkDir(Path(folder))
        for inside in (work.home, work.tmp, work.shm):
            inside.mkdir(mode=0o700)
        try:
            with _in_layer(sandbox, work, Terms(view=_OUR_PYTHON, users=users)) as room:
                failed = _command_fails(room, program)
        except (ToolError, OSError) as error:
            return str(error)
    ways = (root, Path(program), Path(program).resolve())
    closed = [f for way in ways for f in way.parents if not f.stat().st_mode & stat.S_IXOTH]
    if failed and sandbox.layer == "user" and closed:
        return f"no other user can pass {closed[0]}."
    return failed


def _command_fails(room: Room, program: str) -> str:
    with FileIO(os.devnull, "r+") as null:
        streams = Streams(null.fileno(), null.fileno(), null.fileno())
        script = 'test -w "$1" && echo > "$1/file" && exec "$2" -c ""'
        argv = ["/bin/sh", "-c", script, "sh", str(room.seen.tmp), program]
        given = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        order = Order(argv, given, str(room.seen.home), int(signal.SIGTERM))
        code = room.start(order, streams).wait()
    return f"a command in it ended with {code}." if code else ""


def _let_through(root: Path) -> None:
    """Let other users pass to the folders of runs, each of which is its own user's."""
    for folder in (root, root.parent):
        mode = stat.S_IMODE(folder.stat().st_mode)
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _pid_of(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pid":
            return int(value)
    return 0
