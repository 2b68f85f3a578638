from __future__ import annotations

from pathlib import Path

from tests.support.command_line import CommandLine


def test_a_git_credential_is_added_listed_and_removed(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct-horse-battery\n")
    password = ("--username", "ci", "--password-file", str(tmp_path / "password"))
    cli.must("stored-keys", "add", "modules", *password)

    [added] = cli.json("git-credentials", "add", "https://git.example.com/team", "--key", "modules")
    [listed] = cli.json("git-credentials", "list")
    cli.must("git-credentials", "remove", added["id"])

    assert listed == added
    assert (added["prefix"], added["key"]["name"]) == ("git.example.com/team", "modules")
    assert cli.json("git-credentials", "list") == []
