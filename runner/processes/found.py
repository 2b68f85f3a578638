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
