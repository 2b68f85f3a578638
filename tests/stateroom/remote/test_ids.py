"""Ids that were typed in part."""

from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.place import Place


@pytest.fixture
def runs(cli: CommandLine) -> list[str]:
    """The ids of three runs, the newest first; the first two begin alike."""
    for _ in range(3):
        cli.must("runs", "queue")
    return [run["id"] for run in cli.json("runs", "list")]


def test_the_beginning_of_an_id_is_enough(cli: CommandLine, runs: list[str]) -> None:
    for run in runs:
        [shown] = cli.json("runs", "show", run[:-2])

        assert shown["id"] == run


def test_the_beginning_of_several_ids_is_refused_with_all_of_them(
    cli: CommandLine, runs: list[str]
) -> None:
    done = cli.run("runs", "cancel", runs[0][:6])

    assert done.exit_code == 2
    assert all(run in done.stderr for run in runs)
    assert {run["status"] for run in cli.json("runs", "list")} & {"canceled"} == set()


def test_the_beginning_of_no_id_is_not_found(cli: CommandLine, runs: list[str]) -> None:
    done = cli.run("runs", "show", "run_zzzz")

    assert done.stderr.endswith("(404 not-found)\n")


def test_latest_is_the_newest_run_of_the_project_or_of_a_workspace(
    cli: CommandLine, runs: list[str]
) -> None:
    cli.must("workspaces", "create", "other", "--template", "module")
    cli.exported["STATEROOM_WORKSPACE"] = None
    [elsewhere] = cli.json("runs", "queue", "-w", "other")

    [newest] = cli.json("runs", "show", "latest")
    [of_first] = cli.json("runs", "show", "latest", "-w", "first")
    [of_other] = cli.json("runs", "show", "latest", "-w", "other")

    assert (newest["id"], of_first["id"]) == (elsewhere["id"], runs[0])
    assert of_other["id"] == elsewhere["id"]


def test_without_a_run_there_is_no_latest(cli: CommandLine) -> None:
    done = cli.run("runs", "log", "latest")

    assert done.exit_code == 1
    assert done.stderr == "Error: There is no run in the workspace first yet.\n"


def test_a_name_that_begins_as_an_id_is_a_name(cli: CommandLine, place: Place) -> None:
    [first] = cli.json("workspaces", "show", "first")
    beginning = first["id"][:8]

    [by_its_id] = cli.json("workspaces", "show", beginning)
    cli.must("workspaces", "create", beginning)
    [by_its_name] = cli.json("workspaces", "show", beginning)

    assert by_its_id["name"] == "first"
    assert by_its_name["name"] == beginning


def test_ids_of_other_things_are_completed_too(cli: CommandLine, place: Place) -> None:
    [project] = cli.json("projects", "show", place.project)
    [template] = cli.json("templates", "show", "module")
    [token] = cli.json("tokens", "issue", "ci", "-p", place.project, "--scope", "state:read")

    [run] = cli.json("runs", "queue", "-w", cli.json("workspaces", "show", "first")[0]["id"][:-2])
    [listed] = cli.json("runs", "list", "-p", project["id"][:-2])

    assert cli.json("templates", "show", template["id"][:-2]) == [template]
    assert "revoked" in cli.run("tokens", "revoke", token["id"][:-2], "-p", place.project).stderr
    assert listed["id"] == run["id"]
