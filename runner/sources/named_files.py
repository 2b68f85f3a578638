"""Files of the repository that a template or workspace names: for variables, or for the backend."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from runner.detection.config_files import shown
from runner.errors import SourceError
from runner.processes.room import Room
from runner.sources.source import Checkout


def find(checkout: Checkout, names: Iterable[str], what: str, room: Room) -> tuple[Path, ...]:
    """These files, as commands in the room see them. Names are relative to the template's folder.

    Raises SourceError `named-file-missing` or `named-file-outside`, with the name.
    """
    return tuple(room.inside(_checked(checkout, name, what)) for name in names)


def outside(checkout: Checkout, names: Iterable[str]) -> list[Path]:
    """These files, which `find` has found, for the runner itself."""
    return [_checked(checkout, name, "file") for name in names]


def _checked(checkout: Checkout, name: str, what: str) -> Path:
    """The file without links. Its folder is that of the checkout, as the runner knows it."""
    root = os.path.realpath(checkout.root)
    real = os.path.realpath(checkout.folder / name)
    if not Path(real).is_relative_to(root) or ".git" in Path(real).relative_to(root).parts:
        raise SourceError(
            "named-file-outside",
            f"The {what} {shown(name)} is not in the checkout: name a file of the repository.",
        )
    if not os.path.isfile(real):  # noqa: PTH113 Path would raise for a name with too many links
        where = shown(os.path.relpath(checkout.folder, checkout.root))
        raise SourceError(
            "named-file-missing",
            f"There is no {what} {shown(name)} at commit {checkout.commit[:12]}. Names are "
            f"relative to the template's folder ({where}).",
        )
    return checkout.root / os.path.relpath(real, root)
