"""What a worker has of the providers that a run needs, by the lock file of its sources."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.processes import found, placed
from runner.providers import locked, methods
from runner.providers.cache import Cache
from runner.providers.locked import Locked
from runner.providers.package import Package, own_platform
from runner.recipes.context import RunContext

_MOST_PROVIDERS = 200


@dataclass
class Stock:
    """What the caches have of what a lock file selects.

    `sure` are the providers whose package it accepts, `doubted` those whose package it rejects,
    `missing` what no cache has, and `accepted` hashes that it lacks.
    """

    caches: Sequence[Cache]
    sure: set[str] = field(default_factory=set)
    doubted: dict[Cache, set[str]] = field(default_factory=dict)
    missing: list[Package] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)


def taken(context: RunContext, caches: Sequence[Cache], selected: Mapping[str, Locked]) -> Stock:
    """Compare what is in the caches with the lock file."""
    stock = Stock(caches, doubted={cache: set() for cache in caches})
    held = of_administrator(context)
    for address, lock in selected.items():
        package = _package(address, lock.version)
        if package is None or address in held or _is_of_another_tool(context, address):
            continue
        kept = [(cache, found) for cache in caches if (found := cache.find(package))]
        if not kept:
            stock.missing.append(package)
        for cache, hashes in kept:
            if lock.hashes and not lock.hashes & {hashes.h1, hashes.zh}:
                stock.doubted[cache].add(address)
                continue
            stock.sure.add(address)
            if lock.hashes and hashes.h1 not in lock.hashes:
                stock.accepted[address] = hashes.h1
    return stock


def of_administrator(context: RunContext) -> frozenset[str]:
    """The providers in the administrator's mirror."""
    mirror = context.job.provider_mirror
    return frozenset() if mirror is None else methods.held(mirror)


@contextlib.contextmanager
def held(caches: Sequence[Cache]) -> Iterator[dict[Package, list[int]]]:
    """Keep what is in the caches from being swept while the block runs.

    The files that are taken out of the dict stay open, and keep it for longer.
    """
    files: dict[Package, list[int]] = {}
    try:
        for cache in caches:
            for package in cache.every():
                fd = cache.hold(package)
                if fd is not None:
                    files.setdefault(package, []).append(fd)
        yield files
    finally:
        for fd in (fd for fds in files.values() for fd in fds):
            os.close(fd)


def accept(context: RunContext, folder: Path, stock: Stock) -> None:
    """Note in the lock file which unpacked package belongs to an archive that it accepts.

    Whoever made it on another platform has the archive's hash only, and the tools compare what is
    in a mirror with the other kind. They would add it themselves after a download.
    """
    if not stock.accepted:
        return
    root = context.work.root
    path = PurePosixPath(folder.relative_to(root) / locked.NAME)
    content = found.content(root, path, locked.MOST_BYTES) or b""
    for address, h1 in stock.accepted.items():
        content = locked.accept(content, address, h1)
    placed.place(root, path, content, context.room.user)


def installed(context: RunContext) -> Iterator[Package]:
    """What init has put into the run's folder. Its names are the run's: they prove nothing."""
    for parts in _names(context.work.data / "providers", 4):
        package = _package("/".join(parts[:3]), parts[3])
        if package is not None and (
            _is_link(context, package) or _place(context, package).is_dir()
        ):
            yield package


def downloaded(context: RunContext, stock: Stock) -> list[Package]:
    """What init has downloaded itself. What is a link came from a mirror."""
    held = of_administrator(context)
    return [
        package
        for package in installed(context)
        if package.address not in held
        and not _is_link(context, package)
        and not any(cache.find(package) for cache in stock.caches)
    ]


def _package(address: str, version: str) -> Package | None:
    with contextlib.suppress(ValueError):
        return Package(address, version, own_platform())
    return None


def _is_of_another_tool(context: RunContext, address: str) -> bool:
    """Whether it is terraform's: tofu takes such a version for its own provider, without hashes."""
    return context.tool.name == "tofu" and address.startswith("registry.terraform.io/")


def _place(context: RunContext, package: Package) -> Path:
    return context.work.data / "providers" / package.path


def _is_link(context: RunContext, package: Package) -> bool:
    return _place(context, package).is_symlink()


def _names(folder: Path, depth: int) -> Iterator[tuple[str, ...]]:
    """The names of folders at this depth. No link is followed."""
    try:
        is_folder = stat.S_ISDIR(folder.lstat().st_mode)
        entries = sorted(folder.iterdir())[:_MOST_PROVIDERS] if is_folder else []
    except OSError:
        return
    for entry in entries:
        if depth == 1:
            yield (entry.name,)
        else:
            yield from ((entry.name, *rest) for rest in _names(entry, depth - 1))
