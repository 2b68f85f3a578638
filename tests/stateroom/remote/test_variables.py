from __future__ import annotations

from pathlib import Path

from tests.support.command_line import CommandLine

SECRET = "correct-horse-battery"


def test_a_variable_is_set_changed_and_deleted(cli: CommandLine) -> None:
    cli.must("variables", "set", "region", "eu-central-1")
    [changed] = cli.json("variables", "set", "region", '["a", "b"]', "--expression")
    [listed] = cli.json("variables", "list")
    deleted = cli.run("variables", "delete", "region")

    assert changed.pop("warnings") == []
    assert (changed["kind"], changed["value"], changed["is_expression"]) == (
        *("terraform", '["a", "b"]', True),
    )
    assert listed == changed
    assert deleted.stderr == "The variable region is deleted.\n"
    assert cli.json("variables", "list") == []


def test_one_for_the_backend_is_a_kind_of_its_own(cli: CommandLine) -> None:
    cli.must("variables", "set", "--backend-config", "bucket", "states")

    [listed] = cli.json("variables", "list")
    cli.must("variables", "delete", "--backend-config", "bucket")

    assert (listed["kind"], listed["name"]) == ("backend_config", "bucket")
    assert cli.json("variables", "list") == []


def test_one_of_the_environment_is_another_than_one_of_terraform(cli: CommandLine) -> None:
    cli.must("variables", "set", "AWS_REGION", "one")
    cli.must("variables", "set", "--environment", "AWS_REGION", "two")
    cli.must("variables", "delete", "AWS_REGION")

    [left] = cli.json("variables", "list")
    assert (left["kind"], left["value"]) == ("environment", "two")


def test_a_sensitive_value_is_asked_for_and_stays_sensitive(
    cli: CommandLine, tmp_path: Path
) -> None:
    asked = cli.run("variables", "set", "password", "--sensitive", typed=f"{SECRET}\n")
    (tmp_path / "value").write_text(f"{SECRET}-2\n")
    [changed] = cli.json("variables", "set", "password", "--value-file", str(tmp_path / "value"))

    assert asked.exit_code == 0
    assert SECRET not in asked.output
    assert (changed["sensitive"], changed["value"]) == (True, None)


def test_a_sensitive_value_is_no_argument(cli: CommandLine) -> None:
    refused = cli.run("variables", "set", "password", SECRET, "--sensitive")
    both = cli.run("variables", "set", "x", "one", "--value-file", "-", typed="two")

    assert (refused.exit_code, both.exit_code) == (2, 2)
    assert "Others see a command's arguments" in refused.stderr
    assert cli.json("variables", "list") == []


def test_a_value_from_a_file_keeps_its_lines(cli: CommandLine) -> None:
    [made] = cli.json("variables", "set", "pem", "--value-file", "-", typed="one\ntwo\n")

    assert made["value"] == "one\ntwo"


def test_what_cannot_be_a_variable_is_refused_with_the_reason(cli: CommandLine) -> None:
    denied = cli.run("variables", "set", "--environment", "LD_PRELOAD", "/evil.so")
    missing = cli.run("variables", "delete", "nothing")

    assert denied.exit_code == 1
    assert "LD_PRELOAD" in denied.stderr
    assert (missing.exit_code, "404" in missing.stderr) == (1, True)


def test_a_file_keeps_its_last_line_end_and_a_short_secret_is_warned_of(cli: CommandLine) -> None:
    pem = "-----BEGIN\nkey\n"
    [made] = cli.json("variables", "set", "pem", "--type=file", "--value-file", "-", typed=pem)
    [again] = cli.json("variables", "set", "pem", "--value-file", "-", typed=f"{pem}more\n")
    warned = cli.run("variables", "set", "pin", "--sensitive", typed="123\n")

    assert (made["value"], made["type"]) == (pem, "file")
    assert again["value"] == f"{pem}more\n"
    assert "Warning: The value is too short to be hidden in a log" in warned.stderr
