"""Write files into a run's folder, where its commands may have put links in the meantime."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path, PurePosixPath
from uuid import uuid4

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def place(root: Path, path: PurePosixPath, content: bytes, user: int | None) -> None:
    """Write a file at this path below the root, for the run's user, and replace one that is there.

    No link is followed. Raises OSError.
    """
    if ".." in path.parts or path.is_absolute():
        raise ValueError(f"not below the root: {path}")
    with contextlib.ExitStack() as stack:
        folder = _opened(stack, root, None)
        for part in path.parts[:-1]:
            folder = _opened(stack, part, folder)
        new = f".new-{uuid4().hex}"
        with os.fdopen(os.open(new, _NEW, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
            if user is not None:
                os.fchown(file.fileno(), user, user)
        os.rename(new, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def _opened(stack: contextlib.ExitStack, path: Path | str, parent: int | None) -> int:
    fd = os.open(path, _FOLDER, dir_fd=parent)
    stack.callback(os.close, fd)
    return fd
