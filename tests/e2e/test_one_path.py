"""The sources of a workspace have one path, on every worker and in each layer of the sandbox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.processes import room
from tests.support.repositories import Repository
from tests.support.required import missing
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

LAYERS = ["required", "user", "landlock", "none"]
MODULE = """\
resource "terraform_data" "paths" {
  input = [abspath(path.module), abspath(path.root), path.cwd, module.local.path, module.git.path]
}

module "local" {
  source = "./sub"
}

module "git" {
  source = "git::file://%s"
}
"""
PATH = """\
output "path" {
  value = abspath(path.module)
}
"""


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name: str = request.param
    if name == "user" and os.geteuid():
        pytest.skip("only a worker that is root gives runs a user of their own")
    if name == "required" and shutil.which("bwrap") is None:
        missing("bubblewrap is not installed")
    if name == "landlock" and room.chosen("landlock", tmp_path / "work", (1, 1)).layer != name:
        pytest.skip("this kernel has no Landlock")
    return name


@pytest.fixture
def served() -> Iterator[Path]:
    """A folder for repositories that a user of a run's own can read."""
    with TemporaryDirectory(prefix="stateroom-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def stateroom(layer: str, served: Path, new_stateroom: Callable[..., Stateroom]) -> Stateroom:
    made = new_stateroom(sandbox=layer, local_repositories=str(served))
    made.folder.chmod(0o711)  # a user of its own has to get to the run's folder
    return made


def test_what_stores_its_path_has_no_changes_on_another_worker(
    stateroom: Stateroom, tool: Tool, served: Path
) -> None:
    module = Repository(served / "module", {"main.tf": PATH})
    files = {"main.tf": MODULE % module.folder, "sub/main.tf": PATH}
    template = Repository(served / "template", files)
    stateroom.path = f"{tool.command.parent}:{stateroom.path}"
    stateroom.start()
    place = stateroom.place(repository=str(template.folder), tool=tool.name)
    place.queue("apply").wait("applied")
    stateroom.workers.pop().stop(60)

    stateroom.start_worker_elsewhere()

    planned = place.queue("plan").wait("planned_and_finished")
    assert planned["changes"]["change"] == 0, planned


def test_a_plan_is_applied_by_a_worker_with_another_folder(
    stateroom: Stateroom, tool: Tool, served: Path
) -> None:
    module = Repository(served / "module", {"main.tf": PATH})
    files = {"main.tf": MODULE % module.folder, "sub/main.tf": PATH}
    template = Repository(served / "template", files)
    stateroom.path = f"{tool.command.parent}:{stateroom.path}"
    stateroom.start()
    place = stateroom.place(repository=str(template.folder), tool=tool.name)
    run = place.queue("apply", auto_approve=False)
    run.wait("planned")
    stateroom.workers.pop().stop(60)

    stateroom.start_worker_elsewhere()
    run.approve()

    run.wait("applied")
    assert place.queue("plan").wait("planned_and_finished")["changes"]["change"] == 0
