"""Which of the versions on a worker runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.processes import wait_until
from tests.support.publisher import Publisher, new_key, program, write_public
from tests.support.repositories import MODULE, Repository
from tests.support.stateroom import Stateroom

HELD = ("1.5.7", "99.0.0")  # programs that only say so


@pytest.fixture
def stateroom(new_stateroom: Callable[..., Stateroom], tmp_path: Path) -> Stateroom:
    """An installation whose tools folder has other versions than PATH and the wheel."""
    for version in HELD:
        fake(tmp_path / "tools" / "terraform" / version / "terraform", version)
    return new_stateroom(tools_dir=tmp_path / "tools").start()


def fake(file: Path, version: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(program(version))
    file.chmod(0o755)


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


def test_a_version_that_no_worker_has_is_waited_for_and_taken_when_it_is_there(
    stateroom: Stateroom, repository: Repository, tmp_path: Path
) -> None:
    repository.replace({"main.tf": MODULE})
    place = stateroom.place(repository=str(repository.folder), tool_version="1.0.99")
    other = stateroom.place(repository=str(repository.folder), tool_version="latest")

    run, next_one = place.queue("plan"), other.queue("plan")
    next_one.wait("errored")  # the one that waits holds nobody up
    [reason] = wait_until(
        lambda: run.api.get(run.path)["waiting_for"], "that it is said what it waits for"
    )

    assert (run.status(), reason["kind"]) == ("queued", "tool")
    assert "a worker that has terraform 1.0.99 (they have " in reason["message"]
    assert "1.5.7, 99.0.0" in reason["message"]

    fake(tmp_path / "tools" / "terraform" / "1.0.99" / "terraform", "1.0.99")

    assert run.wait("errored")["tool"] == "terraform 1.0.99 (tools folder)"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher(new_key("Publisher <publisher@example.org>"))
    yield made
    made.stop()


def test_a_worker_that_may_do_so_installs_what_a_run_asks_for(
    new_stateroom: Callable[..., Stateroom],
    publisher: Publisher,
    repository: Repository,
    tmp_path: Path,
) -> None:
    for version in ("0.9.8", "0.9.9", "0.10.0"):
        publisher.publish("terraform", version)
    repository.replace(asking_for("~> 0.9.0"))
    stateroom = new_stateroom(
        tools_install=True,
        tools_mirror=publisher.url,
        tools_key=write_public(publisher.key, tmp_path / "publisher.asc"),
    ).start()

    exact = stateroom.place(repository=str(repository.folder), tool_version="0.10.0").queue("plan")
    by_sources = stateroom.place(repository=str(repository.folder), tool_version="auto").queue(
        "plan"
    )
    nowhere = stateroom.place(repository=str(repository.folder), tool_version="0.11.0").queue(
        "plan"
    )

    assert exact.wait("errored")["tool"] == "terraform 0.10.0 (tools folder)"
    assert "0.10.0 is installed: its publisher has signed it." in exact.log()
    assert by_sources.wait("errored")["tool"] == "terraform 0.9.9 (tools folder)"
    assert nowhere.wait("errored")["error"]["code"] == "tool-not-published"
    [worker] = stateroom.api.get("/workers")["items"]
    assert worker["installs_tools"]
