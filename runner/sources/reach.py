"""What a template's folder can reach in its repository.

That is the folder itself, and every path with `..` in it that the code below the folder names: the
sources of local modules, the arguments of file(), templatefile() and fileset(), and values of
variables. What these paths lead to is searched in the same way, and symlinks are followed. A path
that is put together at run time counts as the folder that it certainly is in. So this is more than
what a run uses, and less than the repository.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.detection.config_files import EXTENSIONS, MAX_BYTES
from runner.sources.tree import Entry

_SEARCHED = (*EXTENSIONS, ".tfvars", ".tfvars.json")
_COMMENT = re.compile(r"^[ \t]*(?:#|//).*$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"\n]*)"')
_TEMPLATE = re.compile(r"[$%]\{[^}]*\}?")
# in a heredoc, or in a string with another string inside of its template
_BARE = re.compile(r"(?<![\w.])((?:[\w.@+-]+/)*\.\.(?:/[^\s\"'\\${}%()<>,;]*)?)(?![\w.])([$%]?)")
_MOST_HOPS = 40  # as many as the kernel follows


@dataclass
class Reach:
    """The real paths that can be reached, the symlinks on the way, and what is named at all.

    Of a folder everything below it can be reached. What is `named` need not exist.
    """

    root: Path
    paths: set[Path] = field(default_factory=set)
    links: set[Path] = field(default_factory=set)
    named: set[Path] = field(default_factory=set)

    def covers(self, path: Path) -> bool:
        """Whether this place, which has no symlink in it, can be reached."""
        return path in self.links or any(path.is_relative_to(known) for known in self.paths)

    def covers_submodule(self, path: Path) -> bool:
        return self.covers(path) or any(named.is_relative_to(path) for named in self.named)


@dataclass(frozen=True)
class Resolved:
    """Where a path leads, and the symlinks that it passes, each by its own real path."""

    path: Path
    links: tuple[Path, ...]


def reach(root: Path, folder: Path, entries: Sequence[Entry]) -> Reach:
    """What can be reached from a folder of a checkout. It never raises for the content of a file.

    `root` has no symlink in it.
    """
    found = Reach(root)
    symlinks = [root / entry.path for entry in entries if entry.is_symlink]
    searched = [entry for entry in entries if _is_searched(entry)]
    start = resolve(folder)
    found.links.update(start.links)
    found.named.add(start.path)  # it may be in a submodule
    pending = [start.path]
    while pending:
        path = pending.pop()
        if found.covers(path):
            continue
        found.paths.add(path)
        links = [link for link in symlinks if link.is_relative_to(path)]
        below = [root / entry.path for entry in searched]
        named = [
            target
            for file in below
            if file.is_relative_to(path)
            for target in _named_in(file, start.path)
        ]
        for target in map(resolve, (*links, *named)):
            found.links.update(target.links)
            if target.path.is_relative_to(root):
                found.named.add(target.path)
                if os.path.exists(target.path):  # noqa: PTH110 as above
                    pending.append(target.path)
    return found


def resolve(path: Path) -> Resolved:
    """The real path of an absolute path, whether it exists or not, and the symlinks on the way."""
    current, links = Path("/"), list[Path]()
    left = list(reversed(path.parts[1:]))
    while left:
        part = left.pop()
        if part == "..":
            current = current.parent
            continue
        current /= part
        if len(links) < _MOST_HOPS and os.path.islink(current):  # noqa: PTH114 it never raises
            links.append(current)
            target = current.readlink()
            left += reversed(target.parts[target.is_absolute() :])
            current = Path("/") if target.is_absolute() else current.parent
    return Resolved(current, tuple(links))


def _is_searched(entry: Entry) -> bool:
    return entry.is_file and entry.path.endswith(_SEARCHED) and entry.size <= MAX_BYTES


def _named_in(file: Path, folder: Path) -> Iterator[Path]:
    """The paths that a file names, below its own folder or the template's: `path.root`."""
    text = _COMMENT.sub("", file.read_bytes().decode(errors="replace"))
    for base in {file.parent, folder}:
        for path in _paths(text):
            yield base / path


def _paths(text: str) -> set[str]:
    """The relative paths with `..` in a text."""
    found = {_before(match[1]) if match[2] else match[1] for match in _BARE.finditer(text)}
    for match in _QUOTED.finditer(text):
        *open_ended, last = _TEMPLATE.split(match[1])
        found |= {_before(part.lstrip("/")) for part in open_ended if _goes_up(part)}
        found |= {last.lstrip("/")} if _goes_up(last) else set()
    return {path for path in found if "\0" not in path and len(os.fsencode(path)) < 4096}


def _goes_up(path: str) -> bool:
    return ".." in path.split("/")


def _before(path: str) -> str:
    """The folder of a path that a template follows, because it may end in half a name."""
    return path if path.endswith("..") else path.rpartition("/")[0]
