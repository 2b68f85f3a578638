"""Which of the versions on a worker runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repositories import MODULE, Repository
from tests.support.stateroom import Stateroom

HELD = ("1.5.7", "99.0.0")  # programs that only say so


@pytest.fixture
def stateroom(new_stateroom: Callable[..., Stateroom], tmp_path: Path) -> Stateroom:
    """An installation whose tools folder has other versions than PATH and the wheel."""
    for version in HELD:
        program = tmp_path / "tools" / "terraform" / version / "terraform"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho '{json.dumps({'terraform_version': version})}'\n")
        program.chmod(0o755)
    return new_stateroom(tools_dir=tmp_path / "tools").start()


def asking_for(version: str) -> dict[str, str]:
    return {"main.tf": MODULE, "versions.tf": f'terraform {{\n  required_version = "{version}"\n}}'}


def test_auto_runs_the_newest_version_that_the_sources_accept(
    stateroom: Stateroom, repository: Repository
) -> None:
    repository.replace(asking_for(">= 1.6, < 99"))
    place = stateroom.place(repository=str(repository.folder), tool_version="auto")

    run = place.queue("plan")
    ended = run.wait("planned_and_finished")

    assert "versions.tf:2 asks for terraform >= 1.6, < 99" in run.log()
    assert ended["tool"].startswith("terraform 1.")
    assert not ended["tool"].startswith("terraform 1.5.7")


def test_auto_without_a_version_that_fits_names_the_place_and_what_is_there(
    stateroom: Stateroom, repository: Repository
) -> None:
    repository.replace(asking_for("~> 0.12"))
    place = stateroom.place(repository=str(repository.folder), tool_version="auto")

    error = place.queue("plan").wait("errored")["error"]

    assert error["code"] == "tool-version-not-installed"
    assert error["message"].startswith("versions.tf:2: terraform ~> 0.12 is not installed")
    assert "99.0.0, 1.5.7" in error["message"]


def test_constraints_and_latest_choose_among_all_versions_on_the_worker(
    stateroom: Stateroom, repository: Repository
) -> None:
    repository.replace({"main.tf": MODULE})
    found = {}
    for asked in ("~> 1.5.0", "latest"):
        place = stateroom.place(repository=str(repository.folder), tool_version=asked)
        found[asked] = place.queue("plan").wait("errored")["tool"]  # it is no tool

    assert found == {
        "~> 1.5.0": "terraform 1.5.7 (tools folder)",
        "latest": "terraform 99.0.0 (tools folder)",
    }
