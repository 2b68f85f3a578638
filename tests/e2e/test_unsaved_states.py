"""A run whose tool could not store the state ends as what is true, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import state_document
from tests.support.place import Place
from tests.support.processes import living_in, wait_until
from tests.support.proxy import Proxy, proxy_to
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository, waiting_module
from tests.support.small_disk import small_disk
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

WITHOUT_END = 10**6  # requests


class Applying:
    """A run that has made one resource, and makes the other one when `go_on` is called."""

    def __init__(self, installation: Stateroom, place: Place, gate: Path) -> None:
        self.installation, self.place = installation, place
        self._gate = gate
        self.run: QueuedRun = place.queue("apply")
        self.run.wait("applying")
        wait_until(lambda: living_in(installation.work_dir, "sleep"), "the slow resource to begin")

    def go_on(self) -> None:
        self._gate.touch()

    def resources(self) -> set[str]:
        return {resource["name"] for resource in self.place.state.read().json()["resources"]}

    def rescued(self) -> list[dict[str, Any]]:
        path = f"/projects/{self.place.project}/workspaces/{self.place.workspace}/rescued"
        return self.place.api.every(path)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxy_to("") as made:
        yield made


@pytest.fixture
def installation(new_stateroom: Callable[..., Stateroom], proxy: Proxy) -> Stateroom:
    """Its runs reach the server through the proxy. It has no process yet."""
    made = new_stateroom(public_url=proxy.url, stop_grace_seconds=10)
    proxy.upstream = made.url
    return made


@pytest.fixture
def new_applying(repository: Repository, tool: Tool, gate: Path) -> Callable[..., Applying]:
    def make(installation: Stateroom, module: str = "") -> Applying:
        repository.replace({"main.tf": waiting_module(gate) + module})
        place = installation.place(repository=str(repository.folder), tool=tool.name)
        return Applying(installation, place, gate)

    return make


def test_what_a_tool_prints_on_a_full_disk_is_stored_and_not_shown(
    installation: Stateroom, proxy: Proxy, new_applying: Callable[..., Applying]
) -> None:
    with small_disk(installation.work_dir) as disk:
        applying = new_applying(installation.start())

        proxy.answer(400, "POST", WITHOUT_END)
        disk.fill()
        applying.go_on()
        ended = applying.run.wait(seconds=90)

        assert ended["status"] == "applied", applying.run.log()
        assert applying.resources() == {"quick", "slow"}
        assert "The worker stored it" in " ".join(ended["warnings"])
        said = applying.run.log()
        assert "The tool printed the state here" in said
        assert '"lineage"' not in said
        assert not applying.place.is_locked()
        assert applying.rescued() == []


def test_a_state_that_the_server_refused_in_between_is_stored_by_the_worker(
    installation: Stateroom, proxy: Proxy, new_applying: Callable[..., Applying]
) -> None:
    applying = new_applying(installation.start())

    proxy.answer(400, "POST", WITHOUT_END)
    applying.go_on()
    ended = applying.run.wait(seconds=90)

    assert ended["status"] == "applied", applying.run.log()
    assert ended["error"] is None
    assert applying.resources() == {"quick", "slow"}
    assert applying.rescued() == []


def test_a_failed_apply_stays_failed_although_its_state_was_stored_later(
    installation: Stateroom, proxy: Proxy, new_applying: Callable[..., Applying]
) -> None:
    fails = """
resource "terraform_data" "fails" {
  depends_on = [terraform_data.slow]

  provisioner "local-exec" {
    command = "exit 3"
  }
}
"""
    applying = new_applying(installation.start(), fails)

    proxy.answer(400, "POST", WITHOUT_END)
    applying.go_on()
    ended = applying.run.wait(seconds=90)

    assert (ended["status"], ended["error"]["code"]) == ("errored", "apply-failed")
    assert "local-exec" in ended["error"]["message"]
    assert "version 1" in ended["error"]["message"]
    assert applying.resources() == {"quick", "slow", "fails"}


def test_a_run_whose_lock_could_not_be_released_is_applied(
    installation: Stateroom, proxy: Proxy, new_applying: Callable[..., Applying]
) -> None:
    applying = new_applying(installation.start())

    proxy.answer(400, "UNLOCK", WITHOUT_END)
    applying.go_on()
    ended = applying.run.wait(seconds=90)

    assert ended["status"] == "applied", applying.run.log()
    assert "could not release its lock" in " ".join(ended["warnings"])
    assert applying.resources() == {"quick", "slow"}
    assert not applying.place.is_locked()


def test_a_plan_whose_lock_could_not_be_released_says_so(
    installation: Stateroom, proxy: Proxy, repository: Repository, tool: Tool
) -> None:
    place = installation.start().place(repository=str(repository.folder), tool=tool.name)

    proxy.answer(400, "UNLOCK", WITHOUT_END)
    ended = place.queue("apply").wait()

    assert (ended["status"], ended["error"]["code"]) == ("errored", "unlock-failed")
    assert not place.is_locked()


def test_a_state_that_is_lost_is_said_to_be_lost(
    new_stateroom: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    loses = """
resource "terraform_data" "made" {
  input = "%s"

  provisioner "local-exec" {
    command = "mkdir errored.tfstate"
  }
}
"""
    repository.replace({"main.tf": loses % ("x" * 5000)})
    installation = new_stateroom(max_state_bytes=1000).start()
    place = installation.place(repository=str(repository.folder), tool=tool.name)

    run = place.queue("apply")
    ended = run.wait()

    assert (ended["status"], ended["error"]["code"]) == ("errored", "state-write-failed")
    assert "is in no state" in ended["error"]["message"]
    assert "kept" not in ended["error"]["message"].replace("could be kept", "")
    assert "xxxxxxxxxx" not in run.log().partition("Apply")[2]


def test_a_state_that_is_refused_is_kept_and_nothing_runs_before_somebody_decides(
    installation: Stateroom, proxy: Proxy, new_applying: Callable[..., Applying]
) -> None:
    applying = new_applying(installation.start())
    place, api = applying.place, applying.place.api
    workspace = place.filled("/projects/{project}/workspaces/{workspace}")

    # somebody breaks the lock and writes another state meanwhile
    api.delete(f"{workspace}/lock?reason=impatient")
    assert place.state.write(state_document(9)).status == 200
    proxy.answer(400, "POST", WITHOUT_END)
    applying.go_on()
    ended = applying.run.wait(seconds=90)
    following = place.queue("apply")

    [kept] = applying.rescued()
    assert (ended["status"], ended["error"]["code"]) == ("errored", "state-write-failed")
    assert kept["id"] in ended["error"]["message"]
    assert api.get(following.path)["waits_for_rescued"] == kept["id"]
    assert following.status() == "queued"
    api.post(f"{workspace}/rescued/{kept['id']}/promote?force=true")
    assert following.wait()["status"] in {"applied", "planned_and_finished"}
    assert applying.resources() == {"quick", "slow"}


def test_a_state_that_finds_the_disk_of_the_server_full_is_stored_when_there_is_space(
    new_stateroom: Callable[..., Stateroom], new_applying: Callable[..., Applying]
) -> None:
    installation = new_stateroom(lease_seconds=5, stop_grace_seconds=10)
    with small_disk(installation.data_dir) as disk, small_disk(installation.work_dir):
        applying = new_applying(installation.start())
        [worker] = installation.workers

        disk.fill()
        applying.go_on()
        wait_until(lambda: "rescue_waits" in worker.said(), "the worker to have the state")
        time.sleep(8)  # longer than the lease, which nobody can renew
        disk.free()
        ended = applying.run.wait(seconds=90)

        assert ended["status"] == "applied", applying.run.log()
        assert applying.resources() == {"quick", "slow"}
        assert applying.rescued() == []
        assert not applying.place.is_locked()
        installation.stop_processes()
