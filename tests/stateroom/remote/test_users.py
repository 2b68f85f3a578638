from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.place import Place

PASSWORD = "correct horse battery"


@pytest.fixture
def ann() -> str:
    """A name that nobody has on the server."""
    return f"ann-{secrets.token_hex(4)}"


def test_a_user_is_created_with_a_password_that_is_asked_for(cli: CommandLine, ann: str) -> None:
    done = cli.run("users", "create", ann, typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert "password:      yes\n" in done.stdout
    assert cli.must("users", "show", ann) == done.stdout


def test_a_password_may_come_from_a_file_or_standard_input(
    cli: CommandLine, ann: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")

    [made] = cli.json("users", "create", ann, "--password-file", str(file))
    changed = cli.run("users", "password", ann, "--password-file", "-", typed=PASSWORD + "x\n")
    missing = cli.run("users", "password", ann, "--password-file", str(tmp_path / "none"))

    assert made["has_password"] is True
    assert changed.exit_code == 0, changed.output
    assert missing.exit_code == 2


def test_a_user_is_listed_promoted_disabled_and_deleted(cli: CommandLine, ann: str) -> None:
    cli.must("users", "create", ann, "--no-password")

    [promoted] = cli.json("users", "promote", ann)
    [demoted] = cli.json("users", "demote", ann)
    [disabled] = cli.json("users", "disable", ann)
    [enabled] = cli.json("users", "enable", ann)
    listed = {row["NAME"]: row for row in cli.table("users", "list")}
    deleted = cli.run("users", "delete", ann)

    assert (promoted["is_admin"], demoted["is_admin"]) == (True, False)
    assert disabled["disabled_at"] is not None
    assert enabled["disabled_at"] is None
    assert (listed[ann]["ADMINISTRATOR"], listed[ann]["PASSWORD"]) == ("no", "no")
    assert deleted.stderr == f"The user {ann} is deleted.\n"
    assert cli.run("users", "show", ann).exit_code == 1


def test_a_member_gets_a_role_another_one_and_none(
    cli: CommandLine, ann: str, place: Place
) -> None:
    cli.must("users", "create", ann, "--no-password")

    cli.must("members", "set", ann, "guest")
    cli.must("members", "set", ann, "manager")
    rows = cli.table("members", "list")
    removed = cli.run("members", "remove", ann)
    wrong = cli.run("members", "set", ann, "king")

    assert [(row["NAME"], row["ROLE"]) for row in rows] == [(ann, "manager")]
    assert removed.stderr == f"{ann} is no member any more.\n"
    assert cli.table("members", "list") == []
    assert wrong.exit_code == 2
