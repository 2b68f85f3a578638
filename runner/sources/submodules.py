"""Fetch the submodules that a template reaches, each as a repository of its own.

git itself is not asked to: it would take the address, and the credential, that the repository
chooses. Here every address goes through the same gate as the template's, and is opened by a git
credential with a fitting prefix, or by none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from runner.errors import SourceError
from runner.job import Source
from runner.sources import credentials
from runner.sources.reach import reach
from runner.sources.repository import Git, GitError
from runner.sources.tree import MOST_BYTES, Entry, submodules, too_large
from runner.sources.url import check_address

MOST = 50
DEEPEST = 5  # of submodules of submodules

# fetch these sources into a folder, and list what arrived
Fetch = Callable[[Source, Path], tuple[Entry, ...]]


@dataclass(frozen=True)
class _Home:
    """A repository whose files are below a path of the checkout."""

    url: str
    depth: int


@dataclass(frozen=True)
class Fetched:
    """All entries of the checkout, and the sources of each submodule by its path."""

    entries: tuple[Entry, ...]
    sources: dict[str, Source]


def fetch(
    source: Source, git: Git, folder: Path, entries: tuple[Entry, ...], fetch_one: Fetch
) -> Fetched:
    """Fetch what the folder reaches, and what that reaches, into the checkout where git is.

    Raises SourceError: `submodule-unknown`, `submodules-too-many`, and what fetching raises.
    """
    root = git.folder.resolve()
    homes = {"": _Home(source.url, 0)}
    sources: dict[str, Source] = {}
    while needed := _needed(root, root / folder.relative_to(git.folder), entries, set(sources)):
        entry = needed[0]
        if len(sources) >= MOST:
            raise SourceError(
                "submodules-too-many", f"There are more than {MOST} submodules to be fetched."
            )
        home = max((path for path in homes if _is_below(entry.path, path)), key=len)
        with _named(entry):
            one = _source_of(source, git, entry, home, homes[home])
            arrived = _put(root, entry, one, fetch_one)
        sources[entry.path], homes[entry.path] = one, _Home(one.url, homes[home].depth + 1)
        entries += tuple(replace(e, path=f"{entry.path}/{e.path}") for e in arrived)
        if sum(e.size for e in entries) > MOST_BYTES:
            raise too_large()
    left = tuple(entry for entry in entries if entry.path not in sources)
    return Fetched(left, sources)


def _needed(root: Path, folder: Path, entries: tuple[Entry, ...], done: set[str]) -> list[Entry]:
    missing = [entry for entry in submodules(entries) if entry.path not in done]
    if not missing:
        return []
    reached = reach(root, folder, entries)
    return [entry for entry in missing if reached.covers_submodule(root / entry.path)]


def _is_below(path: str, home: str) -> bool:
    return not home or path.startswith(f"{home}/")


def _source_of(source: Source, git: Git, entry: Entry, path: str, home: _Home) -> Source:
    where = entry.path[len(path) + 1 :] if path else entry.path
    url = _urls(git, Path(path) / ".gitmodules").get(where)
    if url is None or home.depth >= DEEPEST:
        raise SourceError(
            "submodule-unknown",
            "It has no address in .gitmodules." if url is None else "It is too deep in others.",
        )
    url = absolute(home.url, url)
    return replace(
        source,
        url=url,
        ref=entry.hash,
        path=".",
        ancestor=None,
        rules=None,
        mirrors=None,
        credential=credentials.of(source.git_credentials, check_address(url, source.policy)),
    )


def _urls(git: Git, file: Path) -> dict[str, str]:
    """The addresses in a .gitmodules file by the paths there."""
    whole = git.folder / file
    if whole.is_symlink() or not whole.is_file():
        return {}
    asked = r"^submodule\..*\.(path|url)$"
    try:
        said = str(git.config("-z", "-f", str(whole), "--get-regexp", asked))
    except GitError:  # nothing of the kind in it, or not readable
        return {}
    pairs = (line.partition("\n") for line in said.split("\0") if line)
    found = {name: value for name, _, value in pairs}
    return {
        value: found[f"{name.removesuffix('.path')}.url"]
        for name, value in found.items()
        if name.endswith(".path") and f"{name.removesuffix('.path')}.url" in found
    }


def absolute(base: str, url: str) -> str:
    """The address of a submodule that may be relative to that of its repository, as git has it."""
    if not url.startswith(("./", "../")):
        return url
    base = base.rstrip("/")
    while url.startswith(("./", "../")):
        up, _, url = url.partition("/")
        if up == "..":
            cut = max(base.rfind("/"), base.rfind(":"))
            base = base[: cut + (base[cut] == ":")]
    return f"{base}{url}" if base.endswith(":") else f"{base}/{url}"


def _put(root: Path, entry: Entry, source: Source, fetch_one: Fetch) -> tuple[Entry, ...]:
    """Replace the empty folder of a submodule with its files."""
    new = root / ".git" / f"submodule-{uuid4().hex}"
    entries = fetch_one(source, new)
    shutil.rmtree(new / ".git")  # fileset() would list it
    (root / entry.path).rmdir()
    new.rename(root / entry.path)
    return entries


@contextmanager
def _named(entry: Entry) -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        error.message = f"The submodule {entry.path!r}: {error.message}"
        raise
