"""A plan is looked at, approved, and applied exactly as it is, whatever dies in between."""

from __future__ import annotations

import base64
import json
import secrets
import signal
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backend.db import now
from backend.models import Run
from tests.support.api import Refused
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository, waiting_module
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

NEEDS_WHAT_PLANNING_WROTE = """\
resource "terraform_data" "made" {
  input = [filebase64("${path.module}/built/archive.zip"), file("${path.module}/text.txt")]

  provisioner "local-exec" {
    command = "${path.module}/built/hook"
  }
}
"""
WRITES_WHEN_IT_PLANS = """\
#!/bin/sh -e
if [ "$1" = plan ]; then
  mkdir inner/built
  printf 'archive of: %s' "$(cat inner/text.txt)" >inner/built/archive.zip
  printf '#!/bin/sh\\necho the hook runs\\n' >inner/built/hook
  chmod 755 inner/built/hook
  printf 'as planning left it' >inner/text.txt
fi
"""


@pytest.fixture
def lasting(new_stateroom: Callable[..., Stateroom]) -> Callable[..., Stateroom]:
    """Makes installations whose processes come and go."""

    def make(**settings: object) -> Stateroom:
        return new_stateroom(stop_grace_seconds=10, lease_seconds=4.0, **settings)

    return make


def planned(place: Place, operation: str = "apply", **fields: Any) -> QueuedRun:
    run = place.queue(operation, auto_approve=False, **fields)
    run.wait("planned")
    return run


def steps_of(run: QueuedRun) -> list[str]:
    return [step["name"] for step in run.steps()]


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    with pytest.raises(Refused) as refused:
        call()
    return refused.value.problem


def test_a_run_plans_waits_and_applies_exactly_that(run_place: Callable[..., Place]) -> None:
    place = run_place()
    run = planned(place)
    before = place.versions()

    run.approve(comment="looks good")
    ended = run.wait("applied")

    assert before == []
    assert (ended["approved_by"], ended["comments"][0]["text"]) == ("administrator", "looks good")
    assert steps_of(run).count("plan") == 1
    assert {step["epoch"] for step in run.steps()} == {1, 2}
    assert run.log().count("Terraform will perform the following actions") <= 1
    assert place.versions()


def test_nothing_is_left_of_a_planned_run_but_its_rows(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = lasting().start()
    place = installation.place(repository=str(repository.folder), tool=tool.name)

    run = planned(place)

    found = place.api.get(run.path)
    assert found["worker"] is None
    wait_until(lambda: not installation.work_folders(), "the folder to go")
    assert not place.is_locked()
    assert [one["kind"] for one in found["waiting_for"]] == ["approval"]


def test_the_line_survives_the_restart_of_every_process_between_any_two_steps(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = lasting()
    installation.start_server()
    is_killed = cycle([True, False])

    def restart() -> None:
        kill = next(is_killed)
        for worker in installation.workers:
            worker.kill() if kill else worker.stop(30)
        installation.workers.clear()
        assert installation.server is not None
        if kill:
            installation.kill_server()
        else:
            installation.server.stop(30)
        installation.start_server()

    place = installation.place(repository=str(repository.folder), tool=tool.name)
    run = place.queue("apply", auto_approve=False)
    restart()
    installation.start_worker()
    run.wait("planned")
    restart()
    run.approve()
    restart()
    installation.start_worker()
    ended = run.wait("applied")
    restart()

    assert place.api.get(run.path)["status"] == "applied"
    assert steps_of(run).count("plan") == 1
    assert ended["state_versions"]


def test_a_plan_is_applied_days_later(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = lasting().start()
    place = installation.place(repository=str(repository.folder), tool=tool.name)
    run = planned(place)
    with place.looking() as database, database.transaction() as db:
        earlier = now(-timedelta(days=3))
        db.execute(update(Run).values(planned_at=earlier, created_at=earlier, started_at=earlier))

    run.approve()

    run.wait("applied")


def test_a_new_commit_of_a_colleague_is_not_applied(
    run_place: Callable[..., Place], repository: Repository
) -> None:
    place = run_place()
    run = planned(place)
    repository.commit({"more.tf": 'resource "terraform_data" "more" {}\n'})

    run.approve()
    run.wait("applied")

    names = [resource["name"] for resource in place.state.read().json()["resources"]]
    assert "more" not in names


def test_a_state_that_an_alias_has_written_since_makes_the_plan_stale(
    run_place: Callable[..., Place],
) -> None:
    place = run_place()
    place.queue("apply").wait("applied")
    run = planned(place, "destroy")
    document = place.state.read().json()
    document["serial"] += 1
    place.at_an_alias().state.write(json.dumps(document).encode())

    problem = refusal(run.approve)

    assert problem["code"] == "plan-stale"
    assert "the state (it was at version" in problem["detail"]
    ended = run.wait("stale")
    assert ended["error"]["code"] == "plan-stale"
    assert f"stateroom runs retry {run.id}" in ended["error"]["message"]


def test_a_variable_that_was_changed_makes_the_plan_stale_without_anybody_asking(
    run_place: Callable[..., Place],
) -> None:
    place = run_place()
    run = planned(place)

    place.set_variable("size", "2")

    assert "the variables" in run.wait("stale")["error"]["message"]
    assert place.versions() == []


def test_a_commit_that_is_gone_makes_the_plan_stale(
    run_place: Callable[..., Place], repository: Repository
) -> None:
    place = run_place()
    repository.commit({"more.tf": 'resource "terraform_data" "more" {}\n'})
    run = planned(place)
    repository._git("reset", "-q", "--hard", "HEAD~1")
    repository._git("reflog", "expire", "--expire=now", "--all")
    repository._git("gc", "-q", "--prune=now")

    run.approve()

    assert "no longer in the repository" in run.wait("stale", "applied")["error"]["message"]


def test_a_destroy_waits_too_and_a_plan_never_does(run_place: Callable[..., Place]) -> None:
    place = run_place()
    place.queue("apply").wait("applied")

    plan = place.queue("plan").wait("planned_and_finished")
    destroy = planned(place, "destroy")
    problem = refusal(lambda: place.api.post(f"{place.queue('plan').path}/approve"))
    destroy.discard(comment="no")

    assert plan["approved_at"] is None
    assert problem["code"] == "run-not-planned"
    assert place.api.get(destroy.path)["status"] == "discarded"


def test_files_that_planning_wrote_go_with_the_plan_to_another_worker(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    """The tool writes them itself, in the place of the providers of archive_file and `external`."""
    repository.replace(
        {
            "main.tf": 'module "inner" {\n  source = "./inner"\n}\n',
            "inner/main.tf": NEEDS_WHAT_PLANNING_WROTE,
            "inner/text.txt": "as it was committed",
        }
    )
    installation = lasting()
    installation.settings["tools_dir"] = writes_when_it_plans(tool, installation.folder / "tools")
    installation.settings["sandbox_readable"] = str(tool.command.parent)
    place = installation.start().place(repository=str(repository.folder), tool=tool.name)
    run = planned(place)
    installation.workers.pop().stop(30)
    installation.start_worker_elsewhere()

    run.approve()

    run.wait("applied")
    [made] = place.state.read().json()["resources"]
    archive, text = made["instances"][0]["attributes"]["input"]["value"]
    assert base64.b64decode(archive) == b"archive of: as it was committed"
    assert text == "as planning left it"
    assert "the hook runs" in run.log()


def writes_when_it_plans(tool: Tool, folder: Path) -> Path:
    """A folder with the tool, which writes files beside the sources when it plans."""
    folder.mkdir()
    command = folder / tool.name
    command.write_text(f'{WRITES_WHEN_IT_PLANS}exec {tool.command} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def test_a_worker_killed_before_the_apply_of_an_approved_plan_leaves_it_to_another(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    installation = lasting().start()
    place = installation.place(repository=str(repository.folder), tool=tool.name)
    run = planned(place)
    worker = installation.workers[-1]
    worker.signal(signal.SIGSTOP)
    run.approve()
    installation.kill_worker()

    installation.start_worker()

    run.wait("applied", seconds=60)
    assert steps_of(run).count("plan") == 1


def test_a_worker_killed_in_the_apply_loses_the_run(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool, gate: Path
) -> None:
    installation = lasting().start()
    repository.replace({"main.tf": waiting_module(gate)})
    place = installation.place(repository=str(repository.folder), tool=tool.name)
    run = planned(place)
    run.approve()
    run.wait_to_say("quick")
    run.wait("applying")

    installation.kill_worker()

    ended = run.wait("lost", seconds=60)
    assert "acknowledge" in ended["error"]["message"]
    assert steps_of(run).count("plan") == 1
    gate.touch()
    installation.start_worker()
    wait_until(lambda: not installation.work_folders(), "the dead run's folder to go", seconds=60)


def test_no_secret_of_a_plan_is_in_clear_in_the_database(
    lasting: Callable[..., Stateroom], repository: Repository, tool: Tool
) -> None:
    canary = f"canary{secrets.token_hex(12)}"
    repository.replace(
        {
            "main.tf": 'variable "secret" {\n  sensitive = true\n}\n'
            'resource "terraform_data" "x" {\n  input = var.secret\n}\n'
        }
    )
    installation = lasting().start()
    place = installation.place(repository=str(repository.folder), tool=tool.name)
    place.set_variable("secret", canary, sensitive=True)
    run = planned(place)

    files = [path for path in installation.data_dir.rglob("*") if path.is_file()]
    found = [path.name for path in files if canary.encode() in path.read_bytes()]

    assert found == []
    assert canary not in run.log()
    run.approve()
    run.wait("applied")
