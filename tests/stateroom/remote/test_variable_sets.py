from __future__ import annotations

from tests.support.command_line import CommandLine


def test_a_workspace_gets_the_variables_of_its_sets(cli: CommandLine) -> None:
    for name in ("common", "prod"):
        cli.must("variable-sets", "create", name, "--description", f"of {name}")
        cli.must("variables", "set", "region", f"in {name}", "--set", name)
    cli.must("variables", "set", "size", "3", "--type", "number")

    workspace = cli.exported["STATEROOM_WORKSPACE"] or ""
    chosen = cli.must(
        *("workspaces", "set", workspace, "--variable-set", "common", "--variable-set", "prod")
    )
    [region, size] = cli.table("variables", "effective")
    cli.must("workspaces", "set", workspace, "--variable-set", "none")
    [left] = cli.json("variables", "effective")

    assert "common prod" in chosen
    assert (region["VALUE"], region["OF"], region["HIDES"]) == ("in prod", "set:prod", "set:common")
    assert (size["VALUE"], size["TYPE"], size["OF"]) == ("3", "number", "workspace")
    assert left["name"] == "size"


def test_a_set_is_renamed_and_deleted(cli: CommandLine) -> None:
    cli.must("variable-sets", "create", "common")
    cli.must("variables", "set", "a", "b", "--set", "common")
    [listed] = cli.json("variables", "list", "--set", "common")

    [renamed] = cli.json("variable-sets", "set", "common", "--name", "shared")
    [shown] = cli.json("variable-sets", "show", "shared")
    deleted = cli.run("variable-sets", "delete", "shared")

    assert listed["name"] == "a"
    assert renamed == shown
    assert deleted.stderr == "The variable set shared is deleted.\n"
    assert cli.json("variable-sets", "list") == []


def test_neither_a_workspace_nor_a_set_is_wrong_usage(cli: CommandLine) -> None:
    refused = cli.run("variables", "list", STATEROOM_WORKSPACE=None)

    assert refused.exit_code == 2
    assert "--set" in refused.stderr
