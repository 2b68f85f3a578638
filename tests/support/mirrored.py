"""Runs whose sources may come by way of a mirror."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import Source
from runner.sources import mirror
from runner.sources.source import Checkout
from tests.support.repositories import Repository

LARGE = 300_000


def transferred(checkout: Checkout, before: Checkout) -> int:
    """The bytes of the packs that a run has and an earlier one had not."""
    folder = checkout.root / ".git" / "objects" / "pack"
    new = mirror.packs(checkout.root) - mirror.packs(before.root)
    return sum((folder / name).stat().st_size for name in new)


def mirrors(root: Path) -> list[Path]:
    return sorted(root.glob("*.git"))


def files(checkout: Checkout) -> dict[str, bytes]:
    """What is checked out, and what git says about it."""
    return {
        str(path.relative_to(checkout.root)): path.read_bytes()
        for path in checkout.root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(checkout.root).parts
    }


def told(checkout: Checkout, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=checkout.root, check=True, capture_output=True, text=True
    ).stdout


def refused(run: Callable[[Source], Checkout], source: Source) -> str:
    with pytest.raises(SourceError) as error:
        run(source)
    return error.value.code


def named(ref: str | None, repository: Repository) -> str | None:
    repository._git("tag", "v1")
    repository._git("tag", "-a", "-m", "Release", "v2")
    known = {"commit": repository._git("rev-parse", "HEAD"), "tag": "v1", "annotated": "v2"}
    return known.get(ref, ref) if ref else ref
