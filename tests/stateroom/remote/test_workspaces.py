from __future__ import annotations

import pytest

from tests.support.command_line import CommandLine
from tests.support.documents import lock_info, state_document
from tests.support.place import Place
from tests.support.ssh_keys import ssh_key


def test_a_workspace_that_only_keeps_a_state_is_made_with_one_command(
    cli: CommandLine, place: Place
) -> None:
    said = cli.must("workspaces", "create", "kept")

    assert f"/api/terraform/state/{place.project}/kept" in said
    assert said.endswith("# terraform init\n")
    rows = {row["NAME"]: row["TEMPLATE"] for row in cli.table("workspaces", "list")}
    assert rows == {"first": "module", "kept": "-"}


def test_a_workspace_shows_its_state_and_who_holds_the_lock(cli: CommandLine, place: Place) -> None:
    place.state.write(state_document(7))
    place.state.lock(lock_info())

    shown = cli.must("workspaces", "show", "first", "--for", "tofu")
    [whole] = cli.json("workspaces", "show", "first")

    lines = dict(line.split(":", 1) for line in shown.splitlines() if ": " in line)
    assert lines["serial"].strip() == "7"
    assert lines["locked"].strip() == "yes"
    assert lines["locked by"].strip() == whole["lock"]["held_by"]
    assert shown.endswith("# tofu init\n")


def test_a_workspace_is_changed_and_deleted(cli: CommandLine) -> None:
    cli.must("workspaces", "create", "kept")

    [limited] = cli.json("workspaces", "set", "kept", "--keep-versions", "5")
    [renamed] = cli.json("workspaces", "set", "kept", "--keep-versions", "none", "--name", "newer")
    deleted = cli.run("workspaces", "delete", "newer")

    assert limited["keep_versions"] == 5
    assert (renamed["keep_versions"], renamed["name"]) == (None, "newer")
    assert deleted.stderr == "The workspace newer is deleted.\n"


def test_a_frozen_workspace_says_why_until_it_is_unfrozen(cli: CommandLine, place: Place) -> None:
    frozen = cli.must("workspaces", "freeze", "first", "--reason", "we are moving")
    refused = place.state.lock(lock_info()).status
    cli.must("workspaces", "unfreeze", "first")

    assert "we are moving\n" in frozen
    assert (refused, place.state.lock(lock_info()).status) == (423, 200)


def test_a_workspace_gets_a_key_for_private_modules_and_loses_it_again(cli: CommandLine) -> None:
    key = ssh_key()[0].private_key
    cli.must("stored-keys", "add", "modules", "--private-key-file", "-", typed=key)
    cli.must("workspaces", "create", "kept", "--module-key", "modules")

    [made] = cli.json("workspaces", "show", "kept")
    [changed] = cli.json("workspaces", "set", "kept", "--module-key", "none")

    assert (made["module_key"]["name"], changed["module_key"]) == ("modules", None)


def test_a_list_may_be_limited_and_says_that_there_is_more(cli: CommandLine) -> None:
    cli.must("workspaces", "create", "kept")

    first = cli.run("workspaces", "list", "--limit", "1")
    both = cli.run("workspaces", "list", "--limit", "2", "--json")

    assert first.stderr == "There are more than 1: see --limit.\n"
    assert first.stdout.count("\n") == 2
    assert (both.stderr, both.stdout.count("\n")) == ("", 2)


@pytest.fixture
def full(cli: CommandLine, place: Place) -> CommandLine:
    """The command line, where the workspace `first` has one version, two runs and a variable."""
    place.state.write(state_document())
    place.set_variable("a", "b")
    for _ in range(2):
        run = place.queue()
        cli.run("runs", "cancel", run.id)  # unless a worker of the same server was quicker
        run.wait()
    return cli


def test_who_deletes_a_workspace_is_told_what_goes_with_it_and_types_its_name(
    full: CommandLine,
) -> None:
    done = full.run("workspaces", "delete", "first", typed="first\n")

    assert done.exit_code == 0, done.output
    assert (
        "The workspace first will be deleted for good with 1 version of its state, 2 runs and "
        "their logs, 1 variable.\n"
    ) in done.stderr
    assert "go on existing" in done.stderr
    assert full.table("workspaces", "list") == []


def test_a_script_gives_the_name_as_an_option(full: CommandLine) -> None:
    assert full.run("workspaces", "delete", "first", "--confirm", "first").exit_code == 0
    assert full.table("workspaces", "list") == []


@pytest.mark.parametrize(
    ("confirm", "typed"), [((), ""), ((), "other\n"), (("--confirm", "other"), "first\n")]
)
def test_without_its_name_nothing_is_deleted(
    full: CommandLine, confirm: tuple[str, ...], typed: str
) -> None:
    done = full.run("workspaces", "delete", "first", *confirm, typed=typed)

    assert done.exit_code == 2
    assert "Nothing was deleted" in done.stderr
    assert len(full.json("runs", "list")) == 2


def test_what_is_not_destroyed_is_not_deleted(cli: CommandLine, place: Place) -> None:
    cli.must("workspaces", "create", "kept")

    done = cli.run("workspaces", "delete", "kept", "--destroy", "--confirm", "kept")

    assert done.exit_code == 1
    assert "(409 no-template)" in done.stderr
    assert "kept" in cli.must("workspaces", "list")


def test_a_workspace_may_start_empty_because_somebody_says_so(cli: CommandLine) -> None:
    [said] = cli.json("workspaces", "set", "first", "--start-empty")
    [taken_back] = cli.json("workspaces", "set", "first", "--no-start-empty")

    assert (said["start_empty"], taken_back["start_empty"]) == (True, False)
