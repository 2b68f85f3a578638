"""What the tests of the runner share: repositories, and servers that serve them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.processes import room, workdir
from runner.processes.room import Room, Terms
from runner.processes.workdir import WorkDir
from runner.tools.tool import Tool
from tests.support.repositories import Repository
from tests.support.sshd import Sshd, any_sshd
from tests.support.tool_run import tool_named


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


@pytest.fixture
def short_root() -> Iterator[Path]:
    """A folder with a short name: sockets below it have a limit."""
    with TemporaryDirectory(prefix="t") as made:
        yield Path(made)


@pytest.fixture
def work_dir(short_root: Path) -> Iterator[WorkDir]:
    """The folder of a run as the runner makes it."""
    with workdir.create(short_root / "work", "run", 1) as made:
        yield made


@pytest.fixture
def bare_room(work_dir: WorkDir) -> Iterator[Room]:
    """A room without a sandbox, in which paths are as everywhere."""
    with room.opened(work_dir, Terms("none")) as made:
        yield made


@pytest.fixture(params=["terraform", "wheel", "tofu"])
def any_tool(request: pytest.FixtureRequest) -> Tool:
    """Each of the tools that there is."""
    return tool_named(request.param)
