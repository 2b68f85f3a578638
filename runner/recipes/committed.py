"""The states that somebody committed: terraform.tfstate, and those of CLI workspaces.

A checkout puts them away (sources.checkout). They are what `import-state` reads, and a reason to
stop for a run that would begin with an empty state.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from runner.detection.detect import Verdict
from runner.errors import TransferError
from runner.processes import found
from runner.recipes import pulled
from runner.recipes.own_backend import DEFAULT, STATE_FILE
from runner.recipes.pulled import Pulled
from runner.sources import checkout as sources
from runner.sources.source import Checkout


def states(checkout: Checkout, limit: int) -> dict[str, Pulled]:
    """Those that hold something, by the name of their CLI workspace. Raises TransferError."""
    held: dict[str, Pulled] = {}
    for name, where in _files(checkout).items():
        body = found.content(_aside(checkout), where, limit)
        state = None if body is None else pulled.parse(body)
        if state is not None and state.holds_something:
            held[name] = state
    return held


def holding(checkout: Checkout, verdict: Verdict, limit: int) -> str | None:
    """The file with a state that holds something, or None. One that no tool can read counts.

    For a local backend it is the file that the backend names.
    """
    for where in _files(checkout).values():
        if _holds(_aside(checkout), where, limit):
            return str(where)
    path = local_path(verdict)
    if path is None:
        return None
    inside = os.path.relpath(os.path.normpath(checkout.folder / path), checkout.root)
    if not inside.startswith("..") and _holds(checkout.root, PurePosixPath(inside), limit):
        return path
    return None


def local_path(verdict: Verdict) -> str | None:
    """Where a local backend has its state, if the sources say it without an expression."""
    if (verdict.kind, verdict.type) != ("backend", "local"):
        return None
    return verdict.settings.get("path", STATE_FILE)


def leaves(checkout: Checkout, path: str) -> bool:
    """Whether the path of a local backend is outside of the repository."""
    return not Path(os.path.normpath(checkout.folder / path)).is_relative_to(checkout.root)


def _files(checkout: Checkout) -> dict[str, PurePosixPath]:
    others = _aside(checkout) / f"{STATE_FILE}.d"
    files = {DEFAULT: PurePosixPath(STATE_FILE)}
    if others.is_dir():
        names = sorted(path.name for path in others.iterdir())
        files |= {name: PurePosixPath(others.name, name, STATE_FILE) for name in names}
    return files


def _aside(checkout: Checkout) -> Path:
    return checkout.root / ".git" / sources.COMMITTED


def _holds(folder: Path, where: PurePosixPath, limit: int) -> bool:
    try:
        body = found.content(folder, where, limit)
        if body is None:  # none, or one that is too large or no regular file
            return os.path.lexists(folder / where)
        state = pulled.parse(body)
    except TransferError:
        return True
    return state is not None and state.holds_something
