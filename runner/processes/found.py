"""Open files that the commands of a run left, without trusting them.

A command may put a symlink, a pipe or a device into its work folder under any name, and processes
that it started may still run. Nothing here follows a link, waits for a writer or leaves the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from runner.errors import ToolError

MOST_BYTES = 1 << 30  # of one file
DEEPEST = 64  # levels of folders, each of which is open while its content is searched
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = _FILE | os.O_DIRECTORY


def named(root: Path, folder: str, name: str) -> Iterator[BufferedReader]:
    """Every regular file with this name below a folder of the root, each open until the next one.

    Files that cannot be opened, are larger than MOST_BYTES or deeper than DEEPEST are skipped.
    """
    with contextlib.suppress(OSError), _opened(root, _FOLDER) as top:
        for where in _folders(folder, top, DEEPEST):
            with contextlib.suppress(OSError, ToolError), _file(name, where) as file:
                yield file


def content(root: Path, path: PurePosixPath, limit: int) -> bytes | None:
    """The regular file at this path below the root, or None if it is larger or something else."""
    if ".." in path.parts:
        return None
    with contextlib.suppress(OSError, ToolError), contextlib.ExitStack() as stack:
        folder = stack.enter_context(_opened(root, _FOLDER))
        for part in path.parts[:-1]:
            folder = stack.enter_context(_opened(part, _FOLDER, folder))
        read = stack.enter_context(_file(path.name, folder)).read(limit + 1)
        return read if len(read) <= limit else None
    return None


def sha256(root: Path, folder: str, name: str) -> str:
    """The SHA-256 of a file in a folder of the root, in hex. Raises ToolError `file-suspect`."""
    try:
        with (
            _opened(root, _FOLDER) as top,
            _opened(folder, _FOLDER, top) as where,
            _file(name, where) as file,
        ):
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _suspect(name, error.strerror or "unreadable") from None


@dataclass(frozen=True)
class Entry:
    """A file or a link below a folder. `folder` is open until the next one is asked for."""

    path: PurePosixPath
    name: str
    folder: int
    facts: os.stat_result


def everything(root: Path, folder: PurePosixPath, without: str) -> Iterator[Entry]:
    """Every regular file and every link below a folder of the root.

    Folders named `without` are left out, and what is deeper than DEEPEST, or cannot be read.
    """
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        top = stack.enter_context(_opened(root, _FOLDER))
        for part in folder.parts:
            top = stack.enter_context(_opened(part, _FOLDER, top))
        yield from _entries(top, PurePosixPath(), without, DEEPEST)


@contextlib.contextmanager
def file(entry: Entry) -> Iterator[BufferedReader]:
    """Open it. Raises ToolError `file-suspect` if it is too large, or no regular file any more."""
    with _file(entry.name, entry.folder) as opened:
        yield opened


def _entries(folder: int, path: PurePosixPath, without: str, deepest: int) -> Iterator[Entry]:
    with os.scandir(folder) as scanned:
        names = sorted(entry.name for entry in scanned)
    for name in names:
        try:
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:  # it is gone again
            continue
        if stat.S_ISDIR(facts.st_mode):
            if deepest and name != without:
                with contextlib.suppress(OSError), _opened(name, _FOLDER, folder) as below:
                    yield from _entries(below, path / name, without, deepest - 1)
        elif stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode):
            yield Entry(path / name, name, folder, facts)


def _folders(name: str, parent: int, deepest: int) -> Iterator[int]:
    """The folder and those below it, each open until the next one of its level."""
    with contextlib.suppress(OSError), _opened(name, _FOLDER, parent) as folder:
        yield folder
        if deepest:
            with os.scandir(folder) as entries:
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            for child in below:
                yield from _folders(child, folder, deepest - 1)


@contextlib.contextmanager
def _file(name: str, where: int) -> Iterator[BufferedReader]:
    with os.fdopen(os.open(name, _FILE, dir_fd=where), "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MOST_BYTES:
            raise _suspect(name, "it is not a regular file, or too large")
        yield file


@contextlib.contextmanager
def _opened(path: Path | str, flags: int, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _suspect(name: str, why: str) -> ToolError:
    return ToolError(
        "file-suspect", f"A command of this run replaced {name} with something else: {why}."
    )
