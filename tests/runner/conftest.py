"""What the tests of the runner share: repositories, and servers that serve them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repositories import Repository
from tests.support.sshd import Sshd, any_sshd


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit on main: main.tf."""
    return Repository(tmp_path / "served" / "network")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder of a run."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder
