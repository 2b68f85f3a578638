"""A repository, mirrors of it, and runs that check it out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.job import Mirrors, Source, SourcePolicy
from runner.sources.source import Checkout, clone
from tests.support.mirrored import LARGE
from tests.support.repositories import Repository


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mirrors"


@pytest.fixture
def source(repository: Repository, root: Path) -> Source:
    """A repository with a large file on main."""
    (repository.folder / "large").write_bytes(os.urandom(LARGE))
    repository.commit({})
    return Source(
        str(repository.folder),
        policy=SourcePolicy(local_roots=(repository.folder.parent,)),
        mirrors=Mirrors(root, "network key-1", 10_000_000),
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Source], Checkout]:
    """Check the sources out in the folder of a new run."""
    counted = iter(range(100))

    def run(source: Source) -> Checkout:
        work = tmp_path / f"run-{next(counted)}"
        work.mkdir()
        return clone(source, work / "source", work=work, deadline=60)

    return run
