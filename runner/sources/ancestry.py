"""Whether one commit contains another, found out with as little of the history as that takes.

A run has one commit, and the history behind it only at the remote. It is fetched into a repository
of its own, deeper and deeper, without files where the server can leave them out. What cannot be
found out within the limits is not known.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from uuid import uuid4

from runner.errors import SourceError, Stopped
from runner.events import StopLevel
from runner.sources.repository import Calls, Git, GitError, Limits
from runner.sources.url import Address

log = logging.getLogger(__name__)

MOST_BYTES = 256 << 20  # of the history
MOST_SECONDS = 120.0

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_EVERYTHING = ("+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*")
_DEPTHS = (50, 1000, 20_000, 400_000)  # of the history; 1 is the commit alone


def contains(calls: Calls, address: Address, tip: str, commit: str, work: Path) -> bool:
    """Whether `commit` is the tip, or in the history behind it. What is not known counts as no.

    `tip`: a commit, or a ref of the remote by its full name. `calls`: git as the clone calls it,
    with its credential. Raises Stopped when the run is canceled, or out of time.
    """
    return containing(calls, address, (tip,), commit, work) is not None


def containing(
    calls: Calls, address: Address, tips: Sequence[str], commit: str, work: Path
) -> str | None:
    """The first of the tips that `contains` the commit, or None. It searches them all at once."""
    if commit in tips:
        return commit
    if not tips:
        return None
    folder = work / f"history-{uuid4().hex}"
    limits = calls.limits
    bounded = Limits(min(limits.ends, monotonic() + MOST_SECONDS), _bounded(folder, limits.stop))
    calls = replace(calls, limits=bounded)
    try:
        calls.git(work).init("--", str(folder), bare=True, quiet=True, template="")
        return _found(calls.git(folder), address, tips, commit)
    except (GitError, SourceError) as error:
        reason = getattr(error, "code", type(error).__name__)
        log.info("history not known", extra={"commit": commit, "tips": tips, "reason": reason})
        return None
    except Stopped as stopped:
        if stopped.code != "timed-out" or not limits.left():
            raise
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _found(git: Git, address: Address, tips: Sequence[str], commit: str) -> str | None:
    here = {tip: f"refs/tips/{number}" for number, tip in enumerate(tips)}
    refs: Sequence[str] = [f"+{tip}:{name}" for tip, name in here.items()]
    for depth in _DEPTHS:
        try:
            _fetch(git, address, refs, depth)
        except GitError:
            if not any(map(_COMMIT.fullmatch, tips)):
                raise
            # the server gives out no commit by its number
            named = [ref for tip, ref in zip(tips, refs, strict=True) if not _COMMIT.fullmatch(tip)]
            refs = [*_EVERYTHING, *named]
            here |= {tip: tip for tip in tips if _COMMIT.fullmatch(tip)}
            _fetch(git, address, refs, depth)
        for tip, name in here.items():
            if _is_ancestor(git, commit, name):
                return tip
        if not (git.folder / "shallow").exists():
            return None
    return None


def _fetch(git: Git, address: Address, refs: Sequence[str], depth: int) -> None:
    """A server that cannot leave files out sends them too, up to the limit."""
    git.fetch("--", address.url, *refs, no_tags=True, depth=depth, filter="tree:0", quiet=True)


def _is_ancestor(git: Git, commit: str, tip: str) -> bool:
    try:
        git.merge_base("--is-ancestor", commit, tip)
    except GitError:  # it is not, or git does not know the commit
        return False
    return True


def _bounded(folder: Path, stop: Callable[[], StopLevel]) -> Callable[[], StopLevel]:
    def asked() -> StopLevel:
        if _size(folder / "objects" / "pack") > MOST_BYTES:
            raise SourceError("history-too-large", "The history is too large to be searched.")
        return stop()

    return asked


def _size(packs: Path) -> int:
    try:
        return sum(entry.stat().st_size for entry in os.scandir(packs))
    except FileNotFoundError:  # not there yet, or renamed at this moment
        return 0
