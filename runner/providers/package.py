"""A provider's package: from the archive that the tool has verified to an unpacked folder."""

from __future__ import annotations

import base64
import hashlib
import os
import platform as machine
import shutil
import stat
import sys
import zipfile
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from runner.archives import BROKEN
from runner.errors import ToolError
from runner.providers.locked import ADDRESS, VERSION

_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "i686": "386",
    "i386": "386",
    "armv6l": "arm",
    "armv7l": "arm",
}
_MOST_FILES = 1000
_CHUNK_BYTES = 1 << 20


def own_platform() -> str:
    """The platform of this machine, as the tools name it."""
    found = machine.machine().lower()
    return f"{sys.platform}_{_ARCHITECTURES.get(found, found)}"


@dataclass(frozen=True, order=True)
class Package:
    """One version of a provider for one platform. Raises ValueError on what is no name."""

    address: str
    version: str
    platform: str

    def __post_init__(self) -> None:
        if not ADDRESS.fullmatch(self.address) or not VERSION.fullmatch(self.version):
            raise ValueError(f"not a provider: {self.address!r} {self.version!r}")

    @property
    def path(self) -> PurePosixPath:
        """Of its folder in an unpacked filesystem mirror."""
        return PurePosixPath(self.address, self.version, self.platform)

    @property
    def archive(self) -> PurePosixPath:
        """Of its file in a packed filesystem mirror."""
        kind = self.address.rpartition("/")[2]
        name = f"terraform-provider-{kind}_{self.version}_{self.platform}.zip"
        return PurePosixPath(self.address, name)

    def __str__(self) -> str:
        return f"{self.address} {self.version}"


@dataclass(frozen=True)
class Unpacked:
    """The hashes of a package as lock files have them, and the bytes of its files."""

    h1: str
    zh: str
    size: int


def unpack(archive: BufferedReader, into: Path, most_bytes: int) -> Unpacked:
    """Unpack an archive into a new folder, which everybody may read and nobody may write.

    Raises ToolError `provider-package-invalid`, and OSError.
    """
    zh = hashlib.file_digest(archive, "sha256").hexdigest()
    archive.seek(0)
    into.mkdir(mode=0o755)
    sums: dict[str, str] = {}
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _entries(opened, most_bytes)
            for entry in entries:
                sums[entry.filename] = _extract(opened, entry, into / entry.filename)
    except (*BROKEN, FileExistsError) as error:  # or two files of one name
        raise _invalid(str(error)) from None
    _fsync_folders(into)
    return Unpacked(_h1(sums), f"zh:{zh}", sum(entry.file_size for entry in entries))


def _entries(opened: zipfile.ZipFile, most_bytes: int) -> list[zipfile.ZipInfo]:
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > most_bytes:
        raise _invalid("It has too many files, or too large ones.")
    for entry in entries:
        path = PurePosixPath(entry.filename)
        strange = path.is_absolute() or ".." in path.parts or str(path) != entry.filename
        if strange or not entry.filename.isprintable() or "\\" in entry.filename:
            raise _invalid(f"It has a file named {entry.filename!r}.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _invalid(f"{entry.filename} is a link.")
    return entries


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, to: Path) -> str:
    """Write one file, and return its SHA-256."""
    to.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    is_program = to.name.startswith("terraform-provider-") or (entry.external_attr >> 16) & 0o111
    digest = hashlib.sha256()
    with opened.open(entry) as source, to.open("xb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
        os.fchmod(target.fileno(), 0o555 if is_program else 0o444)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _fsync_folders(top: Path) -> None:
    for where, _, _ in os.walk(top):
        Path(where).chmod(0o755)
        fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _h1(sums: dict[str, str]) -> str:
    """The hash of Go's dirhash: of a line with the hash and the name of each file."""
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums, key=str.encode))
    return f"h1:{base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()}"


def _invalid(why: str) -> ToolError:
    return ToolError("provider-package-invalid", f"The package of a provider cannot be kept. {why}")


def remove(folder: Path) -> None:
    """Remove an unpacked package, or what there is of it."""
    shutil.rmtree(folder, ignore_errors=True)
