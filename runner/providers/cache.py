"""The cache: packages of providers that a worker keeps unpacked, as a filesystem mirror.

Runs read it and never write it: a worker puts in what the tool has downloaded and verified in a
room without anything of a repository (recipes/filling.py). So a hash that is noted here belongs to
what the registry has published, and a lock file can be compared with it.

packages/ADDRESS/VERSION/PLATFORM/        what runs see, complete from the moment that it is there
known/ADDRESS/VERSION/PLATFORM.json       its hashes and size; used when it was touched last
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from time import sleep, time
from uuid import uuid4

from runner.job import ProviderCache
from runner.providers import package as packages
from runner.providers.package import Package, Unpacked

_ABANDONED_SECONDS = 86_400.0
_POLL_SECONDS = 0.1
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_SHARED = "shared"


@dataclass(frozen=True)
class Cache:
    """What one owner's runs have fetched, or everybody's from registries that ask for no login."""

    root: Path

    @property
    def folder(self) -> Path:
        """The filesystem mirror."""
        return self.root / "packages"

    def find(self, package: Package) -> Unpacked | None:
        """The hashes of a package, if it is here."""
        try:
            noted = json.loads(self._known(package).read_bytes())
            kept = Unpacked(noted["h1"], noted["zh"], noted["size"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return kept if (self.folder / package.path).is_dir() else None

    def every(self) -> Iterator[Package]:
        """What is here."""
        for file in sorted((self.root / "known").glob("*/*/*/*/*.json")):
            *address, version, name = file.relative_to(self.root / "known").parts
            with contextlib.suppress(ValueError):
                yield Package("/".join(address), version, name.removesuffix(".json"))

    def make(self) -> None:
        """Make its folders, which every user may read. Raises OSError."""
        for folder in (self.root.parent, self.root, self.folder, self.root / "known"):
            _folder(folder)

    def put(self, package: Package, archive: BufferedReader, most_bytes: int) -> Unpacked:
        """Put a package in, from an archive that was verified. It is there at once as a whole.

        Raises ToolError `provider-package-invalid`, and OSError.
        """
        self.make()
        part = self.root / "parts" / uuid4().hex
        _folder(part.parent)
        try:
            made = packages.unpack(archive, part, most_bytes)
            if self.find(package) is None:
                _write(self._known(package), json.dumps(asdict(made)))
                place = self.folder / package.path
                _folders(self.folder, place.parent)
                part.rename(place)
        finally:
            packages.remove(part)
        return made

    @contextlib.contextmanager
    def filling(self, package: Package, wait: Callable[[], None]) -> Iterator[None]:
        """Hold the turn to fetch a package. `wait` is called while another one has it."""
        turns = self.root / "turns"
        _folder(self.root.parent)
        _folder(self.root)
        _folder(turns)
        name = hashlib.sha256(str(package.path).encode()).hexdigest()
        fd = os.open(turns / name, _OPEN | os.O_CREAT, 0o600)
        try:
            while not _locked(fd, fcntl.LOCK_EX):
                wait()
                sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(fd)

    def hold(self, package: Package) -> int | None:
        """Keep a package from being swept for as long as the returned file is open."""
        while True:
            try:
                fd = os.open(self._known(package), _OPEN)
            except FileNotFoundError:
                return None
            fcntl.flock(fd, fcntl.LOCK_SH)  # a sweep holds it for two renames
            if _is_open(self._known(package), fd):
                return fd
            os.close(fd)

    def used(self, package: Package) -> None:
        """Note that a run uses a package now."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._known(package))

    def remove(self, package: Package) -> bool:
        """Remove a package, unless a run holds it."""
        known = self._known(package)
        part = self.root / "parts" / uuid4().hex
        try:
            fd = os.open(known, _OPEN)
        except FileNotFoundError:
            return False
        try:
            if not _locked(fd, fcntl.LOCK_EX):
                return False
            _folder(part.parent)
            with contextlib.suppress(FileNotFoundError):
                (self.folder / package.path).rename(part)
            known.unlink(missing_ok=True)
        finally:
            os.close(fd)
        packages.remove(part)
        return True

    def last_used(self, package: Package) -> float:
        return self._known(package).stat().st_mtime

    def remove_abandoned(self) -> None:
        """Remove what a worker was making or removing when it was killed."""
        for folder in ("parts", "turns"):
            for entry in list((self.root / folder).glob("*")):
                with contextlib.suppress(FileNotFoundError):
                    if time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                        _remove_abandoned(entry)

    def _known(self, package: Package) -> Path:
        path = package.path
        return self.root / "known" / path.with_name(f"{path.name}.json")


def shared(place: ProviderCache) -> Cache:
    """The cache of everybody's packages."""
    return Cache(place.root.absolute() / _SHARED)


def owned(place: ProviderCache, login: str) -> Cache:
    """The cache of an owner's packages that were fetched with this login, named and not told."""
    name = hashlib.sha256(f"{place.owner}\0{login}".encode()).hexdigest()
    return Cache(place.root.absolute() / name)


def sweep(root: Path, unused_seconds: float, most_bytes: int) -> int:
    """Remove packages that no run has used for so long, and then the oldest above a total size.

    Returns how many were removed. One that a run holds stays.
    """
    total, removed = 0, 0
    for used, cache, package, size in sorted(_found(root), key=lambda one: one[0], reverse=True):
        total += size
        if time() - used > unused_seconds or total > most_bytes:
            removed += cache.remove(package)
    return removed


def _found(root: Path) -> Iterator[tuple[float, Cache, Package, int]]:
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        cache = Cache(folder)
        cache.remove_abandoned()
        for package in cache.every():
            with contextlib.suppress(FileNotFoundError):
                used = cache.last_used(package)
                kept = cache.find(package)
                yield used, cache, package, kept.size if kept else 0


def _remove_abandoned(entry: Path) -> None:
    if entry.is_dir():
        packages.remove(entry)
        return
    fd = os.open(entry, _OPEN)
    try:
        if _locked(fd, fcntl.LOCK_EX):
            entry.unlink(missing_ok=True)
    finally:
        os.close(fd)


def _folders(top: Path, folder: Path) -> None:
    for parent in reversed((folder, *folder.parents)):
        if parent.is_relative_to(top):
            _folder(parent)


def _folder(folder: Path) -> None:
    """Make a folder that everybody may read, whatever the umask of the worker."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    folder.chmod(0o755)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{uuid4().hex}")
    with new.open("x", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(file)


def _locked(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_open(file: Path, fd: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False
