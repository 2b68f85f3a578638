"""What planning leaves for the apply, as one tar file: the plan, and every file that it wrote.

A provider or a program may write files into the checkout while it plans (archive_file, `data
"external"`), and the apply reads them again, maybe on another machine. The modules that init has
fetched go with them: a module without a fixed version may be another one by then.

Everything in it was made by the commands of a run, so nothing is believed: no link is followed, and
nothing is written outside of the folders of the run.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, cast

from runner.errors import ToolError
from runner.processes import found
from runner.processes.found import Entry
from runner.processes.workdir import WorkDir

PLAN, CHECKOUT, MODULES = "plan", "checkout", "modules"
_IN_DATA = "modules"  # where both tools install modules, in their data folder
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o700

Writer = IO[bytes]
Listing = Mapping[PurePosixPath, tuple[int, ...]]


def listed(work: WorkDir) -> Listing:
    """The files of the checkout, and what tells whether each was written since."""
    return {entry.path: _marks(entry.facts) for entry in _files(work.root, work.checkout.name)}


def pack(work: WorkDir, before: Listing, to: Writer, limit: int) -> tuple[str, ...]:
    """Write the plan, the modules, and the files that are not as they were listed before.

    Returns the paths of files that cannot go with it. Raises ToolError `plan-too-large`.
    """
    left_out: list[str] = []
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        bounded = _Bounded(tar, limit)
        for entry in _files(work.root, work.plan.name):
            bounded.add(PurePosixPath(PLAN) / entry.path, entry)
        for entry in _files(work.root, f"{work.data.name}/{_IN_DATA}"):
            bounded.add(PurePosixPath(MODULES) / entry.path, entry)
        for entry in _files(work.root, work.checkout.name):
            is_new = before.get(entry.path) != _marks(entry.facts)
            if is_new and not bounded.add(PurePosixPath(CHECKOUT) / entry.path, entry):
                left_out.append(str(entry.path))
    return tuple(left_out)


def unpack(work: WorkDir, pieces: Iterator[bytes]) -> None:
    """Put everything back into the folders of another claim, over what is there.

    Raises ToolError `plan-unreadable` for what no plan can contain.
    """
    places = {PLAN: work.plan, CHECKOUT: work.checkout, MODULES: work.data / _IN_DATA}
    (work.data / _IN_DATA).mkdir(mode=_MODE, exist_ok=True)
    source = cast("IO[bytes]", io.BufferedReader(_Joined(pieces)))
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                top, *path = PurePosixPath(member.name).parts
                if top not in places or not path or ".." in path:
                    raise _unreadable(f"it has a member {member.name[:200]!r}")
                _put(places[top], path, member, tar)
    except tarfile.TarError as error:
        raise _unreadable(str(error)) from None
    except OSError as error:  # a folder is a link or a file in the checkout, or the disk is full
        raise _unreadable(f"it cannot be written: {error.strerror}") from None


class _Bounded:
    """Adds files to a tar file, up to so many bytes."""

    def __init__(self, tar: tarfile.TarFile, limit: int) -> None:
        self._tar, self._limit, self._size = tar, limit, 0

    def add(self, name: PurePosixPath, entry: Entry) -> bool:
        """Whether it could be added: a regular file, or a link that stays in its folder."""
        member = tarfile.TarInfo(str(name))
        member.mode = stat.S_IMODE(entry.facts.st_mode)
        if stat.S_ISLNK(entry.facts.st_mode):
            return self._add_link(member, entry)
        with contextlib.ExitStack() as opened:
            try:
                file = opened.enter_context(found.file(entry))
            except (OSError, ToolError):  # it was replaced, or nobody may read it
                return False
            member.size = os.fstat(file.fileno()).st_size
            self._count(member.size)
            self._tar.addfile(member, file)
        return True

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise ToolError(
                "plan-too-large",
                f"The plan and the files that it needs are larger than {self._limit:,} bytes. "
                "An administrator can raise STATEROOM_MAX_PLAN_BYTES.",
            )

    def _add_link(self, member: tarfile.TarInfo, entry: Entry) -> bool:
        target = os.readlink(entry.name, dir_fd=entry.folder)
        if not _stays(entry.path, target):
            return False
        member.type, member.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(member)
        return True


class _Joined(io.RawIOBase):
    """A file that consists of these pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # it is a buffer
        if not self._rest:
            self._rest = next(self._pieces, b"")
        taken = self._rest[: len(view)]
        view[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


def _files(root: Path, folder: str) -> Iterator[Entry]:
    """The files and links below a folder of the run, without the insides of git."""
    return found.everything(root, PurePosixPath(folder), without=".git")


def _marks(facts: os.stat_result) -> tuple[int, ...]:
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode


def _stays(link: PurePosixPath, target: str) -> bool:
    """Whether a link leads to a place in the folder that it is in."""
    depth = len(link.parts) - 1
    if target.startswith("/"):
        return False
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def _put(top: Path, path: list[str], member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    with contextlib.ExitStack() as open_ones:
        folder = os.open(top, _FOLDER)
        open_ones.callback(os.close, folder)
        for part in path[:-1]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, _MODE, dir_fd=folder)
            folder = os.open(part, _FOLDER, dir_fd=folder)
            open_ones.callback(os.close, folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path[-1], dir_fd=folder)
        if member.issym() and _stays(PurePosixPath(*path), member.linkname):
            os.symlink(member.linkname, path[-1], dir_fd=folder)
        elif member.isreg():
            _write(folder, path[-1], member, tar)
        else:
            raise _unreadable(f"its member {member.name[:200]!r} is no file")


def _write(folder: int, name: str, member: tarfile.TarInfo, tar: tarfile.TarFile) -> None:
    content = tar.extractfile(member)
    descriptor = os.open(name, _NEW_FILE, member.mode & 0o777 | 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        while content is not None and (chunk := content.read(1 << 16)):
            file.write(chunk)


def _unreadable(why: str) -> ToolError:
    return ToolError(
        "plan-unreadable",
        f"What the plan left cannot be used: {why}. Queue the run again.",
    )
