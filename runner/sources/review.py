"""Refuse a checkout that is not what its author meant, as far as the template can reach it.

A pointer of Git LFS instead of its file, the empty folder of a submodule, a symlink out of the
repository: terraform would take each of them for what it is not. What the template cannot reach is
only warned about.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from runner.errors import SourceError
from runner.sources.reach import Reach, reach
from runner.sources.tree import Entry, submodules

_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LARGEST_POINTER = 1023  # the specification: less than 1024 bytes
_LONGEST_SHOWN = 200


def review(root: Path, folder: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    """Sentences about what is wrong where the folder does not reach.

    Raises SourceError with `symlink-leaves-repository`, `submodules` or `lfs-pointers`.
    """
    inside = root.resolve()
    reached = reach(inside, inside / folder.relative_to(root), entries)
    return (
        *_escapes(reached, entries),
        *_submodules(reached, entries),
        *_pointers(reached, entries),
    )


def reached_pointers(root: Path, folder: Path, entries: Sequence[Entry]) -> list[str]:
    """The paths of the pointers of Git LFS that the folder reaches."""
    inside = root.resolve()
    found = [entry.path for entry in pointers(inside, entries)]
    if not found:
        return []
    reached = reach(inside, inside / folder.relative_to(root), entries)
    return [path for path in found if reached.covers(inside / path)]


def pointers(root: Path, entries: Iterable[Entry]) -> Iterator[Entry]:
    """The files that are pointers of Git LFS."""
    for entry in entries:
        if entry.is_file and len(_POINTER) < entry.size <= _LARGEST_POINTER:
            with (root / entry.path).open("rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    yield entry


def _escapes(reached: Reach, entries: Sequence[Entry]) -> Iterator[str]:
    elsewhere = []
    for link in [reached.root / entry.path for entry in entries if entry.is_symlink]:
        if not _leaves(link, reached.root):
            continue
        if reached.covers(link):
            raise SourceError(
                "symlink-leaves-repository",
                f"{_shown(link.relative_to(reached.root))} is a symlink to "
                f"{_shown(link.readlink())}, outside the repository: replace it with what it "
                "refers to.",
            )
        elsewhere.append(link.relative_to(reached.root))
    if elsewhere:
        yield (
            f"{_listed(elsewhere)} {_are(elsewhere, 'a symlink', 'symlinks')} that "
            f"{'leaves' if len(elsewhere) == 1 else 'leave'} the repository. The template was not "
            "found to use it."
        )


def _submodules(reached: Reach, entries: Sequence[Entry]) -> Iterator[str]:
    found = [Path(entry.path) for entry in submodules(entries)]
    needed = [path for path in found if reached.covers_submodule(reached.root / path)]
    if needed:
        raise SourceError(
            "submodules",
            f"{_listed(needed)} {_are(needed, 'a submodule', 'submodules')}, which a run leaves "
            "empty: terraform would find no files there. Set submodules on the template "
            "(`stateroom templates set NAME --submodules`), and runs fetch them.",
        )
    if found:
        yield (
            f"{_listed(found)} {_are(found, 'a submodule', 'submodules')}, and left empty. The "
            "template was not found to use it."
        )


def _pointers(reached: Reach, entries: Sequence[Entry]) -> Iterator[str]:
    needed: list[Path] = []
    elsewhere: list[Path] = []
    for entry in pointers(reached.root, entries):
        path = Path(entry.path)
        (needed if reached.covers(reached.root / path) else elsewhere).append(path)
    if needed:
        raise SourceError(
            "lfs-pointers",
            f"{_listed(needed)} {_are(needed, 'a pointer', 'pointers')} of Git LFS and not the "
            "file itself: terraform would use the pointer's 130 bytes. Set lfs on the template "
            "(`stateroom templates set NAME --lfs`), and runs fetch the files.",
        )
    if elsewhere:
        yield (
            f"{_listed(elsewhere)} {_are(elsewhere, 'a pointer', 'pointers')} of Git LFS and not "
            "the file itself. The template was not found to use it."
        )


def _leaves(link: Path, root: Path) -> bool:
    target = Path(os.path.realpath(link))
    return not target.is_relative_to(root) or target.is_relative_to(root / ".git")


def _listed(paths: Sequence[Path]) -> str:
    others = len(paths) - 1
    more = f" and {others} other{'s' if others > 1 else ''}" if others else ""
    return f"{_shown(paths[0])}{more}"


def _are(paths: Sequence[Path], one: str, many: str) -> str:
    return f"is {one}" if len(paths) == 1 else f"are {many}"


def _shown(path: Path) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(path))[:_LONGEST_SHOWN]
