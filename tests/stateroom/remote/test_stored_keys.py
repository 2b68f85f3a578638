from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.ssh_keys import ssh_key

PASSWORD = "correct-horse-battery"


def test_an_ssh_key_is_stored_and_shows_its_public_half(cli: CommandLine, tmp_path: Path) -> None:
    key, public = ssh_key(passphrase="open sesame")
    (tmp_path / "key").write_text(key.private_key)
    (tmp_path / "passphrase").write_text("open sesame\n")

    said = cli.must(
        "stored-keys", "add", "deploy", "--private-key-file", str(tmp_path / "key"),
        "--passphrase-file", str(tmp_path / "passphrase"),
    )  # fmt: skip
    shown = cli.must("stored-keys", "show", "deploy")

    assert said == shown
    assert said.endswith(public.rstrip("\n") + "\n")
    assert "PRIVATE" not in said


def test_the_server_makes_a_key(cli: CommandLine) -> None:
    said = cli.must("stored-keys", "add", "deploy", "--generate")

    assert "ssh-ed25519 AAAA" in said
    wrong = cli.run("stored-keys", "add", "other", "--generate", "--username", "bot")
    assert wrong.exit_code == 2
    assert "without a secret" in wrong.stderr


def test_a_password_is_asked_for_twice_and_replaced(cli: CommandLine) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"

    added = cli.run("stored-keys", "add", "bot", "--username", "bot", typed=typed)
    [replaced] = cli.json("stored-keys", "replace", "bot", "--username", "bot-2", typed=typed)
    cli.must("stored-keys", "rename", "bot", "robot")
    rows = cli.table("stored-keys", "list")

    assert added.exit_code == 0
    assert PASSWORD not in added.output
    assert replaced["username"] == "bot-2"
    assert [(row["NAME"], row["KIND"], row["USERNAME"]) for row in rows] == [
        ("robot", "password", "bot-2")
    ]
    assert cli.run("stored-keys", "delete", "robot").stderr == "The stored key robot is deleted.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--private-key-file", "-", "--username", "bot"], "an SSH key, or a username"),
        (["--username", "bot", "--passphrase-file", "-"], "belongs to an SSH key"),
        (["--private-key-file", "/nowhere/key"], "cannot be read"),
        ([], "Say what opens the repository"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    cli: CommandLine, arguments: list[str], said: str
) -> None:
    refused = cli.run("stored-keys", "add", "deploy", *arguments, typed="x")

    assert refused.exit_code == 2
    assert said in refused.stderr


def test_a_key_of_the_other_kind_replaces_nothing(cli: CommandLine) -> None:
    cli.must("stored-keys", "add", "bot", "--username", "bot", "--password-file", "-", typed="pw")

    key = ssh_key()[0].private_key
    refused = cli.run("stored-keys", "replace", "bot", "--private-key-file", "-", typed=key)

    assert (refused.exit_code, "key-kind" in refused.stderr) == (1, True)
