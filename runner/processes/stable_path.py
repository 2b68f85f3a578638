"""One path for the folders of a workspace's runs, where a run has no mount namespace.

Sources may store `abspath(path.module)`: with a path of its own for each run, every plan would
change it. In namespaces a run's folder is always at the same place. Elsewhere a link leads to it,
below a folder that is the same on every machine, and both tools take their folder from PWD.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from time import sleep
from uuid import uuid4

from runner.processes.workdir import WorkDir

log = logging.getLogger(__name__)

ROOT = Path("/tmp/stateroom")  # noqa: S108 - only the links of its owner are in it, see _is_ours
_POLL_SECONDS = 0.1


@contextlib.contextmanager
def held(
    work: WorkDir, name: str, wait: Callable[[], bool], root: Path = ROOT
) -> Iterator[WorkDir]:
    """The folder with a link to it, which no other run of this name has while the block runs.

    `wait` is called again and again while another one has it, may raise, and says whether to go on
    waiting. Without the link the folder is as it was: nobody waited, or the machine does not let
    us have it.
    """
    with contextlib.ExitStack() as stack:
        try:
            fd = _turn(root, name, wait) if _is_ours(root) else None
            if fd is not None:
                stack.callback(os.close, fd)
                _link(root / name, work.root)
        except OSError as error:
            log.warning("no stable path", extra={"folder": str(root), "error": str(error)})
            fd = None
        if fd is None:
            yield work
            return
        try:
            yield replace(work, link=root / name, locks=(*work.locks, fd))
        finally:
            for leftover in (root / name, _lock(root, name)):
                with contextlib.suppress(OSError):
                    leftover.unlink()


def _is_ours(root: Path) -> bool:
    """Whether nobody else can put a link there. Anybody may have made the folder before us."""
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o711)
        root.chmod(0o711)
    facts, around = root.lstat(), root.parent.stat()
    is_safe = (
        stat.S_ISDIR(facts.st_mode)
        and facts.st_uid == os.geteuid()
        and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        and bool(around.st_mode & stat.S_ISVTX or not around.st_mode & stat.S_IWOTH)
    )
    if not is_safe:
        log.warning("no stable path: another user has it", extra={"folder": str(root)})
    return is_safe


def _turn(root: Path, name: str, wait: Callable[[], bool]) -> int | None:
    """The lock on a name, which goes with everything that holds a copy of it."""
    while True:
        with contextlib.ExitStack() as closing:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(_lock(root, name), flags, 0o600)
            closing.callback(os.close, fd)
            if _locked(fd):
                with contextlib.suppress(FileNotFoundError):  # who had it before has removed it
                    if os.path.samestat(os.fstat(fd), _lock(root, name).stat()):
                        closing.pop_all()
                        return fd
            elif not wait():
                return None
            else:
                sleep(_POLL_SECONDS)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(root: Path, name: str) -> Path:
    return root / f"{name}.lock"


def _link(link: Path, to: Path) -> None:
    new = link.with_name(f"{link.name}.{uuid4().hex}")
    new.symlink_to(to, target_is_directory=True)
    new.replace(link)
