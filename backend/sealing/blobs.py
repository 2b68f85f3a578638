"""Blobs: the files of large sealed bodies, named by the SHA-256 of the sealed bytes.

blobs/ab/cdef…   a complete body, on the disk before any row names it
blobs/incoming/  bodies that are still arriving
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from backend.errors import Unavailable, Unreadable
from backend.sealing.durable import sync_folder

_NAME = re.compile(r"[0-9a-f]{64}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BATCH = 500
_MARKED = 0o400  # the mode of a file that no row referred to at the last sweep


class Blobs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"

    def writer(self) -> BlobWriter:
        """A writer, to be used as a context manager: without a commit it removes its file."""
        for folder in (self.folder, self._incoming):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return BlobWriter(self, self._incoming / secrets.token_hex(16))

    def open(self, name: str) -> BinaryIO:
        """Raises Unreadable when the file is missing."""
        try:
            return self.path(name).open("rb")
        except FileNotFoundError:
            raise Unreadable(
                "The sealed body is missing from the blobs folder. Restore it from your backup.",
                code="blob-missing",
                blob=name,
            ) from None

    def delete(self, name: str) -> None:
        """Delete a body. Harmless when it is gone already."""
        self.path(name).unlink(missing_ok=True)

    def sweep(self, referenced: Callable[[list[str]], set[str]], older_than: float) -> int:
        """Delete files that no row has referred to for `older_than` seconds, and count them.

        A new file may belong to a row that is not committed yet, and a backup that is being made
        may need a file that a row no longer names. `referenced` gets up to 500 names at a time and
        returns those that rows refer to.
        """
        before = time.time() - older_than
        swept = 0
        for names in _batches(self._names(before)):
            for name in set(names) - referenced(names):
                swept += _sweep(self.path(name))
        for path in _older(self._incoming, before):
            path.unlink(missing_ok=True)
            swept += 1
        return swept

    def names(self) -> Iterator[str]:
        """The names of all complete bodies, whether a row refers to them or not."""
        return self._names(math.inf)

    def path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise Unreadable(f"{name!r} is not the name of a sealed body.", blob=name)
        return self.folder / name[:2] / name[2:]

    def _names(self, before: float) -> Iterator[str]:
        if self.folder.exists():
            for shelf in sorted(self.folder.iterdir()):
                for path in _older(shelf, before):
                    if _NAME.fullmatch(shelf.name + path.name):
                        yield shelf.name + path.name


class BlobWriter:
    """Writes one body."""

    def __init__(self, blobs: Blobs, path: Path) -> None:
        self._blobs = blobs
        self._path = path
        self._hash = hashlib.sha256()
        self._descriptor = _create(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)

    def write(self, sealed: bytes) -> None:
        """Raises Unavailable when the disk is full."""
        with _disk_full_is_unavailable():
            _write_all(self._descriptor, sealed)
        self._hash.update(sealed)

    def commit(self) -> str:
        """Store the body durably and return its name. Raises Unavailable, as `write` does."""
        name = self._hash.hexdigest()
        place = self._blobs.path(name)
        with _disk_full_is_unavailable():
            os.fsync(self._descriptor)
            if not place.parent.exists():
                place.parent.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._blobs.folder)
                sync_folder(self._blobs.folder.parent)
            self._path.replace(place)
            sync_folder(place.parent)
        return name


def _create(path: Path) -> int:
    with _disk_full_is_unavailable():
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _write_all(descriptor: int, sealed: bytes) -> None:
    left = memoryview(sealed)
    while left:
        left = left[os.write(descriptor, left) :]


@contextlib.contextmanager
def _disk_full_is_unavailable() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise Unavailable(
            "The upload took too long, and its file was deleted. Send it again.",
            code="upload-swept",
        ) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Unavailable(
            "The disk of the server is full, and nothing was stored. Free space and send it again.",
            code="disk-full",
        ) from error


def _sweep(path: Path) -> bool:
    """Mark a file, with the current time; delete it if it was marked already."""
    if stat.S_IMODE(path.stat().st_mode) == _MARKED:
        path.unlink()
        return True
    path.chmod(_MARKED)
    os.utime(path)
    return False


def _older(folder: Path, before: float) -> Iterator[Path]:
    """The files of a folder that were last written before that time."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # just committed or aborted
            if path.stat().st_mtime < before:
                yield path


def _batches(names: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(names, _BATCH)):
        yield batch
