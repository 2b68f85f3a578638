from __future__ import annotations

import secrets

from tests.support.command_line import CommandLine
from tests.support.place import Place


def test_a_project_is_created_shown_changed_and_deleted(cli: CommandLine) -> None:
    name = f"made-{secrets.token_hex(4)}"

    created = cli.must("projects", "create", name, "--description", "of a test")
    listed = {row["NAME"]: row for row in cli.table("projects", "list")}
    cli.must("projects", "set", name, "--description", "none")
    shown = cli.must("projects", "show", name)
    deleted = cli.run("projects", "delete", name)

    assert "of a test\n" in created
    assert listed[name]["DESCRIPTION"] == "of a test"
    assert "none\n" in shown
    assert deleted.stderr == f"The project {name} is deleted.\n"
    assert cli.run("projects", "show", name).exit_code == 1


def test_a_change_of_nothing_is_a_usage_error(cli: CommandLine, place: Place) -> None:
    done = cli.run("projects", "set", place.project)

    assert done.exit_code == 2
    assert "Say what to change." in done.stderr


def test_quotas_are_set_and_taken_away(cli: CommandLine, place: Place) -> None:
    [limited] = cli.json("projects", "set", place.project, "--max-states", "5")
    [free] = cli.json("projects", "set", place.project, "--max-states", "none")
    wrong = cli.run("projects", "set", place.project, "--max-states", "many")

    assert limited["max_states"] == 5
    assert free["max_states"] is None
    assert wrong.exit_code == 2
