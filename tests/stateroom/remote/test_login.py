from __future__ import annotations

import secrets
from copy import copy
from pathlib import Path

import pytest

from stateroom import credentials
from stateroom.credentials import Entry
from tests.support.command_line import CommandLine

PASSWORD = "correct horse battery"


@pytest.fixture
def ann(cli: CommandLine) -> str:
    """Somebody who may sign in."""
    name = f"ann-{secrets.token_hex(4)}"
    cli.must("users", "create", name, typed=f"{PASSWORD}\n{PASSWORD}\n")
    return name


@pytest.fixture
def laptop(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Somebody who has exported no token, with a configuration folder of their own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    laptop = copy(cli)
    laptop.exported = cli.exported | {"STATEROOM_TOKEN": None, "XDG_CONFIG_HOME": str(tmp_path)}
    return laptop


def sign_in(laptop: CommandLine, name: str) -> None:
    laptop.must("login", "--username", name, typed=f"{PASSWORD}\n")


def test_who_signs_in_needs_neither_the_address_nor_the_token_again(
    laptop: CommandLine, ann: str
) -> None:
    done = laptop.run("login", "--username", ann, typed=f"{PASSWORD}\n")

    [entry] = credentials.read().servers.values()
    asked = laptop.run("tokens", "whoami", STATEROOM_URL=None)
    assert done.exit_code == 0, done.output
    assert f"as {ann}" in done.stderr
    assert entry.token not in done.output
    assert PASSWORD not in done.output
    assert ann in asked.stdout


def test_a_wrong_password_keeps_nothing(laptop: CommandLine, ann: str) -> None:
    done = laptop.run("login", "--username", ann, typed="something else\n")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert credentials.read().servers == {}


def test_what_is_exported_wins(laptop: CommandLine, ann: str) -> None:
    sign_in(laptop, ann)

    by_token = laptop.run("tokens", "whoami", STATEROOM_TOKEN="wrong")
    by_url = laptop.run("tokens", "whoami", STATEROOM_URL="http://stateroom.invalid")
    again = laptop.run(
        "login", "--username", ann, typed=f"{PASSWORD}\n", STATEROOM_TOKEN="something"
    )

    assert by_token.stderr.endswith("(401 unauthorised)\n")
    assert "There is no token for http://stateroom.invalid." in by_url.stderr
    assert "STATEROOM_TOKEN is set" in again.stderr


def test_who_signs_out_leaves_no_token_behind_that_opens_anything(
    laptop: CommandLine, ann: str
) -> None:
    sign_in(laptop, ann)
    [entry] = credentials.read().servers.values()

    done = laptop.run("logout")

    assert done.exit_code == 0, done.output
    assert credentials.read().servers == {}
    assert laptop.run("tokens", "whoami", STATEROOM_TOKEN=entry.token).exit_code == 1
    assert laptop.run("logout").exit_code == 1


def test_a_token_that_has_ended_already_is_forgotten(laptop: CommandLine) -> None:
    url = str(laptop.exported["STATEROOM_URL"])
    credentials.remember(url, Entry("ended"))

    assert laptop.run("logout").exit_code == 0
    assert credentials.read().servers == {}


def test_a_token_that_cannot_be_revoked_is_forgotten_and_that_is_said(laptop: CommandLine) -> None:
    credentials.remember("http://127.0.0.1:9", Entry("secret"))

    done = laptop.run("logout", STATEROOM_URL=None)

    assert done.exit_code == 1
    assert "it is not revoked" in done.stderr
    assert credentials.read().servers == {}


def test_the_token_may_be_printed_instead_of_kept(laptop: CommandLine, ann: str) -> None:
    done = laptop.run("login", "--print", "--username", ann, typed=f"{PASSWORD}\n")

    assert laptop.run("tokens", "list", STATEROOM_TOKEN=done.stdout.strip()).exit_code == 0
    assert credentials.read().servers == {}


def test_a_session_that_has_ended_says_how_to_begin_another(laptop: CommandLine) -> None:
    url = str(laptop.exported["STATEROOM_URL"])
    credentials.remember(url, Entry("old", expires_at="2026-01-01T12:00:00+00:00"))

    done = laptop.run("tokens", "whoami")

    assert done.exit_code == 2
    assert f"signed in at {url} until 2026-01-01 12:00:00Z: stateroom login" in done.stderr


def test_a_file_that_others_may_read_is_no_place_for_a_token(laptop: CommandLine) -> None:
    url = str(laptop.exported["STATEROOM_URL"])
    credentials.remember(url, Entry("secret"))
    credentials.place().chmod(0o644)

    done = laptop.run("tokens", "whoami")

    assert done.exit_code == 2
    assert "chmod 600" in done.stderr
    assert "secret" not in done.output
