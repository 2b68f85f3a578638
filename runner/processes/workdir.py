"""The folder that a run works in: made for it, open to nobody else, gone at its end.

A living run holds a lock on its folder. The kernel lets go of it when the worker dies, however it
dies, so that a sweep can tell a leftover from a folder in use without asking anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from uuid import uuid4

from runner.errors import RunnerError

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FOLDER_NAME = re.compile(rf"{_NAME.pattern}\.[0-9]{{1,9}}", re.ASCII)
# providers listen on a unix socket in tmp/, /plugin and ten digits; the kernel takes 107 bytes
_LONGEST_TMP = 107 - 17
_TURN_SECONDS = 0.1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class WorkDir:
    """`root` is the whole of it. Nothing but `checkout` is ever under the repository's control.

    `locks` are open: whoever holds one of them, or a copy of it, may be at work there. `link` leads
    to it (stable_path.py).
    """

    root: Path
    locks: tuple[int, ...] = ()
    link: Path | None = None

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def data(self) -> Path:
        """TF_DATA_DIR."""
        return self.root / "data"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def shm(self) -> Path:
        """What the run finds as /dev/shm, so that it counts as its disk."""
        return self.root / "shm"

    @property
    def seen(self) -> WorkDir:
        """The folder as commands without a mount namespace see it."""
        return self if self.link is None else _Linked(self.link, real=self.root)

    @property
    def plan(self) -> Path:
        """The folder of the saved plan."""
        return self.root / "plan"


@dataclass(frozen=True)
class _Linked(WorkDir):
    """Its TMPDIR is not a link: by that one finds what was started there (leftovers.py)."""

    real: Path = Path()

    @property
    def tmp(self) -> Path:
        return WorkDir(self.real).tmp


def name(run_id: str, epoch: int) -> str:
    """The folder's name: what `sweep` wants to be told to keep. Raises ValueError on a bad id."""
    if not _NAME.fullmatch(run_id):
        raise ValueError(f"not a run id: {run_id!r}")
    return f"{run_id}.{epoch}"


def check_root(root: Path, run_id: str, epoch: int) -> None:
    """Whether a run of this name fits below the root. Raises RunnerError `work-root-too-long`."""
    tmp = WorkDir(root.absolute() / name(run_id, epoch)).tmp
    excess = len(os.fsencode(tmp)) - _LONGEST_TMP
    if excess > 0:
        raise RunnerError(
            "work-root-too-long",
            f"The work folder {root} has a name too long for the sockets of providers: choose one "
            f"that is {excess} bytes shorter.",
        )


def locks(root: Path, kind: str) -> Path:
    """The folder for lock files of one kind, beside the folders of runs. Made when missing."""
    folder = root.with_name(f"{root.name}.locks") / kind
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def create(
    root: Path,
    run_id: str,
    epoch: int,
    *,
    turn: str = "",
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[WorkDir]:
    """A fresh folder, mode 0700, for as long as the block runs.

    Of the runs with the same `turn` (their workspace's id) one is at work at a time on this
    machine, also when it is only what a dead worker's run left behind. `waiting` is called again
    and again meanwhile, and may raise.

    Raises RunnerError `work-root-too-long` or `work-dir-exists`.
    """
    check_root(root, run_id, epoch)
    folder = root.absolute() / name(run_id, epoch)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _turn(root, turn, waiting) as taken, _made(root, folder, taken) as work:
        try:
            yield work
        finally:
            _remove_or_leave(work.root)


def leftovers(root: Path, keep: AbstractSet[str]) -> Iterator[WorkDir]:
    """The folders of dead runs, but for the names to keep, each locked until the next is asked for.

    What is no run's (a volume's lost+found) is left alone.

    The place to take an `errored.tfstate` out before `remove`.
    """
    if not root.is_dir():
        return
    for entry in sorted(root.iterdir()):
        if entry.name in keep or not _FOLDER_NAME.fullmatch(entry.name):
            continue
        if entry.is_symlink() or not entry.is_dir():
            continue
        with contextlib.ExitStack() as held:
            try:
                with _locked(root):
                    held.enter_context(_locked(entry, fcntl.LOCK_NB))
            except (BlockingIOError, FileNotFoundError):  # its run lives, or has just ended
                continue
            yield WorkDir(entry)


def remove(folder: Path) -> None:
    """Remove a folder however deep it is and whatever its modes; symlinks are never followed.

    Raises OSError when something cannot be removed (a mount, an immutable file).
    """
    _allow(folder, None)
    top = os.open(folder, _FOLDER)
    try:
        while folders := _remove_files(top, top):
            for entry in folders:
                _lift(top, entry)
    finally:
        os.close(top)
    folder.rmdir()


@contextlib.contextmanager
def _turn(root: Path, turn: str, waiting: Callable[[], None]) -> Iterator[tuple[int, ...]]:
    """The lock on a turn, which goes with everything that holds a copy of it."""
    if not turn:
        yield ()
        return
    if not _NAME.fullmatch(turn):
        raise ValueError(f"not an id: {turn!r}")
    folder = locks(root, "turns")
    fd = os.open(folder / turn, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while not _taken(fd):
            waiting()
            sleep(_TURN_SECONDS)
        yield (fd,)
    finally:
        os.close(fd)


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _made(root: Path, folder: Path, turn: tuple[int, ...]) -> Iterator[WorkDir]:
    with contextlib.ExitStack() as held:
        with _locked(root):  # no sweep may come between the folder and its lock
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError as error:
                raise RunnerError(
                    "work-dir-exists", f"The work folder of this run exists already: {folder}"
                ) from error
            work = WorkDir(folder, (*turn, held.enter_context(_locked(folder))))
        for inside in (work.checkout, work.data, work.home, work.tmp, work.shm, work.plan):
            inside.mkdir(mode=0o700)
        yield work


@contextlib.contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[int]:
    fd = os.open(folder, _FOLDER)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | how)
        yield fd
    finally:
        os.close(fd)


def _remove_or_leave(folder: Path) -> None:
    """The run's outcome matters more than its folder: the worker's next look tries again."""
    try:
        remove(folder)
    except OSError:
        log.warning("work folder left behind", extra={"folder": str(folder)}, exc_info=True)


def _remove_files(top: int, folder: int) -> list[str]:
    """Remove what is no folder, and return the names of the folders, lifted into the top."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    folders = []
    for entry, is_folder in found:
        if not is_folder:
            os.unlink(entry, dir_fd=folder)
        elif folder == top:
            folders.append(entry)
        else:
            _allow(entry, folder)  # a folder that may not be written cannot be moved
            os.rename(entry, uuid4().hex, src_dir_fd=folder, dst_dir_fd=top)
    return folders


def _lift(top: int, entry: str) -> None:
    """Move the folders of a folder up beside it, and remove it: no depth is too deep like that."""
    _allow(entry, top)
    folder = os.open(entry, _FOLDER, dir_fd=top)
    try:
        _remove_files(top, folder)
    finally:
        os.close(folder)
    os.rmdir(entry, dir_fd=top)


def _allow(folder: Path | str, parent: int | None) -> None:
    """Give the owner back what a run may have taken: mode 0700."""
    fd = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            Path(f"/proc/self/fd/{fd}").chmod(0o700)
    finally:
        os.close(fd)
