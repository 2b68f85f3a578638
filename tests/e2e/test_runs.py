"""A run from the API to the state: clone, detect, override, init, plan, apply, collect."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.plans import NOTHING
from tests.support.repositories import MODULE, Repository
from tests.support.tools import Checkout, Tool

STEPS = ["clone", "detect", "override", "init", "plan", "apply", "collect"]
BOTH = [
    ("sqlite", "filesystem"),
    ("sqlite", "redis"),
    ("postgresql", "filesystem"),
    ("postgresql", "redis"),
]


@pytest.mark.parametrize(("database", "broker"), BOTH)
def test_a_queued_apply_ends_with_its_state_stored(
    run_place: Callable[..., Place], database: str, broker: str
) -> None:
    place = run_place(database=database, broker=broker)

    run = place.queue("apply")
    ended = run.wait()

    assert ended["status"] == "applied", run.log()
    assert [step["name"] for step in run.steps()] == STEPS
    assert {step["status"] for step in run.steps()} == {"done"}
    assert ended["changes"] == NOTHING | {"add": 1, "outputs": 1}
    assert ended["detection"]["verdict"] == "none"
    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"
    assert {version["run_id"] for version in place.versions()} == {run.id}
    assert "Apply complete!" in run.log()
    assert not place.is_locked()


def test_a_plan_only_run_writes_nothing(run_place: Callable[..., Place]) -> None:
    place = run_place()

    ended = place.queue("plan").wait()

    assert ended["status"] == "planned_and_finished"
    assert ended["changes"]["add"] == 1
    assert place.versions() == []
    assert not place.is_locked()


def test_an_apply_with_nothing_to_change_ends_after_its_plan(
    run_place: Callable[..., Place],
) -> None:
    place = run_place()
    place.queue("apply").wait("applied")

    ended = place.queue("apply").wait()

    assert ended["status"] == "planned_and_finished"
    assert ended["changes"] == NOTHING


def test_a_destroy_leaves_an_empty_state(run_place: Callable[..., Place]) -> None:
    place = run_place()
    place.queue("apply").wait("applied")

    ended = place.queue("destroy").wait()

    assert ended["status"] == "applied"
    assert ended["changes"]["destroy"] == 1
    assert place.state.read().json()["resources"] == []


def test_variables_of_the_workspace_reach_the_tool(run_place: Callable[..., Place]) -> None:
    place = run_place(
        {
            "main.tf": 'variable "text" {}\nvariable "list" { type = list(string) }\n'
            'variable "secret" { sensitive = true }\n'
            'resource "terraform_data" "x" {\n'
            "  input = [var.text, var.list[1], nonsensitive(length(var.secret))]\n"
            '  provisioner "local-exec" { command = "echo region=$REGION" }\n'
            "}\n"
            'output "x" { value = terraform_data.x.output }\n'
        }
    )
    place.set_variable("text", 'quotes " and ${dollars}')
    place.set_variable("list", '["a", "b"]', is_expression=True)
    place.set_variable("secret", "12345", sensitive=True)
    place.set_variable("REGION", "eu-north", kind="environment")

    run = place.queue("apply")
    run.wait("applied")

    assert place.state.read().json()["outputs"]["x"]["value"] == ['quotes " and ${dollars}', "b", 5]
    assert "region=eu-north" in run.log()


def test_runs_of_one_workspace_go_one_after_the_other(run_place: Callable[..., Place]) -> None:
    place = run_place()

    runs = [place.queue("apply", message=str(n)) for n in range(3)]
    ended = [run.wait() for run in runs]

    assert [run["status"] for run in ended] == ["applied", *["planned_and_finished"] * 2]
    for before, after in itertools.pairwise(ended):
        assert before["finished_at"] <= after["started_at"]


def test_a_branch_a_tag_or_a_commit_can_be_run(
    run_place: Callable[..., Place], repository: Repository
) -> None:
    place = run_place(allowed_refs=["other"])
    commit = repository.branch("other", {"main.tf": MODULE.replace("hello", "other")})

    by_branch = place.queue("apply", ref="other").wait("applied")
    value = place.state.read().json()["outputs"]["greeting"]["value"]
    by_commit = place.queue("plan", ref=commit).wait("planned_and_finished")

    assert value == "other"
    assert by_branch["commit"] == commit
    assert by_commit["commit"] == commit
    assert by_commit["changes"] == NOTHING


def test_a_folder_of_the_repository_can_be_run(run_place: Callable[..., Place]) -> None:
    place = run_place({"README": "", "deep/down/main.tf": MODULE}, path="deep/down")

    place.queue("apply").wait("applied")

    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"


def test_a_laptop_opens_the_state_of_a_run(
    run_place: Callable[..., Place], tool: Tool, tmp_path: Path
) -> None:
    place = run_place()
    place.queue("apply").wait("applied")

    laptop = Checkout(tool, tmp_path / "laptop", MODULE)
    laptop.connect(place.state)
    laptop.init()
    done = laptop.run("plan", "-detailed-exitcode", "-input=false")

    assert done.returncode == 0, done.stdout + done.stderr
