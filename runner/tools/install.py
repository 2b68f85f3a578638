"""Put releases into the tools folder as NAME/VERSION/NAME, and take them away again.

Whatever is being installed is in a folder whose name begins with a dot until it is complete and
its checksum and signature are verified; what a killed process leaves of it, the next one removes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from runner.archives import BROKEN
from runner.errors import Stopped, ToolError
from runner.job import ToolName
from runner.tools import downloads, tool
from runner.tools.constraints import Release, Wanted
from runner.tools.downloads import Stop, never
from runner.tools.releases import Archive, Shop

_ARCHIVE_BYTES, _PROGRAM_BYTES = 512 << 20, 1 << 30
_CHUNK_BYTES = 1 << 20
_WAIT_SECONDS = 0.2
_OPEN_MODE = 0o755  # every user that a run may have starts it


def install(shop: Shop, asked: Wanted, tools_dir: Path, stop: Stop = never) -> tuple[Path, bool]:
    """Install the newest release that fits. Its program, and whether it was not there before.

    Raises ToolError with a code that says what was wrong, and Stopped; then nothing was installed.
    """
    release = shop.find(asked)
    with _alone(shop.name, tools_dir, stop) as folder:
        program = folder / str(release) / shop.name
        if program.is_file():
            return program, False
        archive = shop.archive(release)
        _place(shop.name, release, archive, folder, stop)
    return program, True


def remove(name: ToolName, release: Release, tools_dir: Path) -> Path:
    """Remove a version from the tools folder. Runs that are at work with it go on.

    Raises ToolError `tool-not-installed`.
    """
    with _alone(name, tools_dir, never) as folder:
        there = folder / str(release)
        if not (there / name).is_file():
            raise ToolError("tool-not-installed", f"There is no {name} {release} in {folder}.")
        gone = folder / f".{release}.removed"
        there.rename(gone)  # at once: nobody finds half of it
        shutil.rmtree(gone)
    return there


@contextmanager
def _alone(name: ToolName, tools_dir: Path, stop: Stop) -> Iterator[Path]:
    """The folder of a tool, in which nobody else installs or removes meanwhile."""
    folder = tools_dir / name
    try:
        _make(folder)
        with (folder / ".lock").open("ab") as lock:
            _wait_for(lock, name, stop)
            for left in folder.glob(".*"):
                if left.is_dir():
                    shutil.rmtree(left)
            yield folder
    except OSError as error:
        raise ToolError(
            "tool-install-failed",
            f"{error.filename or folder}: {error.strerror}: nothing was installed.",
        ) from error


def _make(folder: Path) -> None:
    """Make the folder, for every user; what is above the tools folder stays private."""
    for one in (folder.parent, folder):
        if not one.is_dir():
            one.mkdir(parents=True, exist_ok=True)  # somebody else may make it meanwhile
            one.chmod(_OPEN_MODE)


def _wait_for(lock: BinaryIO, name: ToolName, stop: Stop) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if stop():
                raise Stopped(
                    "canceled", f"The run was canceled while another one installed {name}."
                ) from None
            time.sleep(_WAIT_SECONDS)
        else:
            return


def _place(name: ToolName, release: Release, archive: Archive, folder: Path, stop: Stop) -> None:
    """Fetch, verify and unpack a release, and give it its name when everything is right."""
    part = folder / f".{release}.part"
    part.mkdir()
    try:
        with TemporaryFile(dir=part) as fetched:
            _fetch(archive, fetched, stop)
            _unpack(fetched, name, part / name)
        _check_version(name, release, part / name)
        part.chmod(_OPEN_MODE)
        _sync(part)
        part.rename(folder / str(release))
        _sync(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fetch(archive: Archive, into: BinaryIO, stop: Stop) -> None:
    """Write the archive into the file. Raises ToolError `checksum-wrong`."""
    digest = hashlib.sha256()
    with downloads.pieces(archive.url, _ARCHIVE_BYTES, stop) as arriving:
        if arriving is None:
            raise ToolError("tool-not-published", f"{downloads.shown(archive.url)} does not exist.")
        for piece in arriving:
            digest.update(piece)
            into.write(piece)
    if digest.hexdigest() != archive.sha256:
        raise ToolError(
            "checksum-wrong",
            f"{downloads.shown(archive.url)} has not the checksum that its publisher signed: it "
            "was changed, or cut off. Nothing was installed.",
        )
    into.flush()


def _unpack(fetched: BinaryIO, name: ToolName, program: Path) -> None:
    """Write the one program of the archive; whatever else is in it, is not looked at."""
    try:
        with zipfile.ZipFile(fetched) as archive:
            wanted = [entry for entry in archive.infolist() if entry.filename == name]
            if len(wanted) != 1 or not _is_regular(wanted[0]):
                raise ToolError("archive-invalid", f"The archive has not one program {name}.")
            with archive.open(wanted[0]) as packed, program.open("xb") as unpacked:
                _copy(packed, unpacked)
                os.fchmod(unpacked.fileno(), _OPEN_MODE)
                unpacked.flush()
                os.fsync(unpacked.fileno())
    except BROKEN as error:
        raise ToolError("archive-invalid", f"The archive cannot be unpacked: {error}.") from None


def _is_regular(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind in (0, stat.S_IFREG) and not entry.is_dir()


def _copy(packed: IO[bytes], unpacked: BinaryIO) -> None:
    count = 0
    while piece := packed.read(_CHUNK_BYTES):
        count += len(piece)
        if count > _PROGRAM_BYTES:
            raise ToolError(
                "archive-invalid", f"The program is larger than {_PROGRAM_BYTES} bytes."
            )
        unpacked.write(piece)


def _check_version(name: ToolName, release: Release, program: Path) -> None:
    """Start it, now that it is verified: it has to be what was asked for."""
    said = tool.version_of(program)
    if said != release:
        raise ToolError(
            "tool-version-wrong", f"The program {name} says that it is {said}, and not {release}."
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
