"""Mirrors: what git has fetched, kept beside the runs' folders, so that the next run fetches less.

There is one mirror for each address and ref of each owner, who is one project with one key. It is a
copy of the `.git` folder that a clone has made, from before the checkout, and a run gets a copy of
the mirror. No file is shared between a run and a mirror, so that a run cannot change a mirror.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic, sleep, time
from uuid import uuid4

from runner.job import Mirrors

log = logging.getLogger(__name__)

LOCK_SECONDS = 2.0  # a run that does not get the lock by then fetches without a mirror
MOST_PACKS = 10  # every fetch adds one, and old ones have objects that nothing needs any more
MOST_BYTES = 1 << 30  # of one mirror

_KEPT = ("HEAD", "config", "packed-refs", "shallow", "refs", "objects")
_HELD = Path(
    "refs/stateroom/held"
)  # a commit without a branch; git tells the server that we have it
_NAME = re.compile(r"([0-9a-f]{64})\.git")
_UNFINISHED = re.compile(r"[0-9a-f]{64}\.(?:new|old)-[0-9a-f]{32}")
_ABANDONED_SECONDS = 86_400.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Mirror:
    """One mirror, which may not exist yet."""

    root: Path
    name: str
    most_bytes: int

    @property
    def folder(self) -> Path:
        return self.root / f"{self.name}.git"

    @property
    def _lock(self) -> Path:
        return self.root / f"{self.name}.lock"

    def copy_into(self, into: Path) -> bool:
        """Make the `.git` of a new folder from the mirror, if there is one and it is free.

        Raises OSError when the mirror cannot be copied, or lacks what it needs.
        """
        with self._locked(fcntl.LOCK_SH) as free:
            if not free or not self.folder.is_dir():
                return False
            if not _is_whole(self.folder):
                raise OSError(errno.EIO, "the mirror was not written to the end", self.name)
            into.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(self.folder, into / ".git", copy_function=shutil.copy)
            os.utime(self.folder)  # the sweep removes what was not used for long
        return True

    def make(self, into: Path, commit: str) -> None:
        """Make the mirror from a folder where git has fetched, and checked nothing out yet.

        A mirror that would be too large is removed. What fails here fails no run.
        """
        self._make(into, commit, shutil.copy)

    def update(self, into: Path, commit: str) -> None:
        """Do as `make` does, and link the packs that the mirror has already into the new one."""
        self._make(into, commit, partial(_link_pack, into / ".git", self.folder))

    def _make(self, into: Path, commit: str, copy: Callable[[str, str], object]) -> None:
        new = self.root / f"{self.name}.new-{uuid4().hex}"
        try:
            if self._fits(into / ".git"):
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                _copy(into / ".git", new, copy)
                _write(new / _HELD, commit)
                self._replace(new)
            else:
                self.remove()
        except OSError:
            log.warning("mirror not kept", extra={"mirror": self.name}, exc_info=True)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def remove(self) -> bool:
        """Remove it, unless somebody has locked it for longer than a run waits."""
        return self._replace(None)

    def _fits(self, git: Path) -> bool:
        packs = len(list((git / "objects" / "pack").glob("*.pack")))
        return packs <= MOST_PACKS and size(git) <= min(MOST_BYTES, self.most_bytes)

    def _replace(self, new: Path | None) -> bool:
        old = self.root / f"{self.name}.old-{uuid4().hex}"
        with self._locked(fcntl.LOCK_EX) as free:
            if not free:
                return False
            with contextlib.suppress(FileNotFoundError):
                self.folder.rename(old)
            if new:
                new.rename(self.folder)
            else:
                self._lock.unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        return True

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[bool]:
        """Hold the lock, and say whether it could be had in time."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        until = monotonic() + LOCK_SECONDS
        while True:
            fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                free = _flock(fd, how, until)
                if free and not _is_open(self._lock, fd):
                    continue  # it was removed with the mirror
                yield free
                return
            finally:
                os.close(fd)


def of(mirrors: Mirrors | None, url: str, ref: str | None) -> Mirror | None:
    """The mirror of an address and a ref, or None where none are kept."""
    if mirrors is None or not mirrors.most_bytes:
        return None
    words = "\0".join((mirrors.owner, url, "HEAD" if ref is None else f"ref {ref}"))
    name = hashlib.sha256(words.encode()).hexdigest()
    return Mirror(mirrors.root.absolute(), name, mirrors.most_bytes)


def packs(into: Path) -> frozenset[str]:
    """The names of the packs of a checkout."""
    return frozenset(path.name for path in (into / ".git" / "objects" / "pack").glob("*.pack"))


def tidy(into: Path) -> None:
    """Remove from a checkout what only the mirror needs."""
    shutil.rmtree(into / ".git" / _HELD.parent, ignore_errors=True)


def size(folder: Path) -> int:
    """The bytes of the files in a folder. Raises FileNotFoundError if one goes meanwhile."""
    return sum(
        Path(where, name).stat().st_size for where, _, files in os.walk(folder) for name in files
    )


def sweep(root: Path, unused_seconds: float, most_bytes: int) -> int:
    """Remove mirrors that no run has used for so long, and then the oldest above a total size.

    Returns how many were removed. One that is in use stays.
    """
    _remove_unfinished(root)
    found = sorted(_found(root), key=lambda one: one[0], reverse=True)
    total, removed = 0, 0
    for used, mirror in found:
        with contextlib.suppress(FileNotFoundError):
            total += size(mirror.folder)
        if time() - used > unused_seconds or total > most_bytes:
            removed += mirror.remove()
    return removed


def _found(root: Path) -> Iterator[tuple[float, Mirror]]:
    if not root.is_dir():
        return
    for entry in root.iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            with contextlib.suppress(FileNotFoundError):
                yield entry.stat().st_mtime, Mirror(root, match[1], 0)


def _remove_unfinished(root: Path) -> None:
    """What a worker was making or removing when it was killed."""
    for entry in list(root.iterdir()) if root.is_dir() else []:
        if _UNFINISHED.fullmatch(entry.name):
            with contextlib.suppress(FileNotFoundError):
                if time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(entry, ignore_errors=True)


def _copy(git: Path, new: Path, copy: Callable[[str, str], object]) -> None:
    new.mkdir(mode=0o700)
    for name in _KEPT:
        if (git / name).is_dir():
            shutil.copytree(git / name, new / name, copy_function=copy)
        elif (git / name).exists():
            shutil.copy(git / name, new / name)


def _is_whole(git: Path) -> bool:
    """Whether every file was written to its end. Some would not be missed before the checkout."""
    if not all((git / name).stat().st_size for name in ("HEAD", "config")):
        return False
    stems = {path.with_suffix("") for path in (git / "objects" / "pack").iterdir()}
    return all(_fit(stem.with_suffix(".pack"), stem.with_suffix(".idx")) for stem in stems)


def _fit(pack: Path, index: Path) -> bool:
    """Whether a pack ends with its hash, which is also the last but one in its index."""
    length = len(pack.stem.removeprefix("pack-")) // 2
    with pack.open("rb") as one, index.open("rb") as other:
        one.seek(-length, os.SEEK_END)
        other.seek(-2 * length, os.SEEK_END)
        return one.read() == other.read(length)


def _link_pack(git: Path, mirror: Path, file: str, to: str) -> None:
    """Copy a file, or link one that the mirror has: a pack's name is the hash of its content."""
    kept = mirror / Path(file).relative_to(git)
    if kept.suffix in {".pack", ".idx"}:
        with contextlib.suppress(OSError):
            os.link(kept, to)
            return
    shutil.copy(file, to)


def _is_open(file: Path, fd: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _flock(fd: int, how: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > until:
                return False
            sleep(_POLL_SECONDS)
        else:
            return True


def _write(file: Path, commit: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{commit}\n", encoding="ascii")
