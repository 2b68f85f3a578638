"""What a commit contains, as git lists it: files, symlinks and submodules."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from runner.errors import SourceError
from runner.sources.repository import Git

MOST_BYTES = 2 << 30  # the limit of what is fetched, and of what is checked out

_LONGEST_PATH = 1000
_SYMLINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class Entry:
    """One entry of a commit. `path` is relative to the root of the checkout."""

    mode: str
    hash: str
    size: int
    path: str

    @property
    def is_symlink(self) -> bool:
        return self.mode == _SYMLINK

    @property
    def is_submodule(self) -> bool:
        return self.mode == _SUBMODULE

    @property
    def is_file(self) -> bool:
        return not self.is_symlink and not self.is_submodule


def listed(git: Git, commit: str) -> tuple[Entry, ...]:
    """Everything in the commit, folders excepted.

    Raises SourceError with `repository-path-too-long` or `repository-too-large`: a small pack can
    contain a huge tree.
    """
    lines = str(git.ls_tree(commit, r=True, l=True, z=True)).split("\0")
    entries = tuple(_entry(line) for line in lines if line)
    if any(len(os.fsencode(entry.path)) > _LONGEST_PATH for entry in entries):
        raise SourceError(
            "repository-path-too-long",
            f"The repository has a path of more than {_LONGEST_PATH} bytes: shorten it.",
        )
    if sum(entry.size for entry in entries) > MOST_BYTES:
        raise too_large()
    return entries


def too_large() -> SourceError:
    return SourceError(
        "repository-too-large",
        f"The repository has more than {MOST_BYTES >> 20} MiB: move the configuration to its own "
        "repository.",
    )


def submodules(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.is_submodule]


def _entry(line: str) -> Entry:
    """A line of `git ls-tree -l`: mode, type, hash and size, a tab, the path."""
    facts, _, path = line.partition("\t")
    mode, _, number, size = facts.split()
    return Entry(mode, number, int(size) if size.isdigit() else 0, path)
