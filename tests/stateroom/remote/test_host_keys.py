from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.processes import free_port
from tests.support.project import ROOT
from tests.support.sshd import Sshd, any_sshd, host_key

HOST_KEYS = ("projects", "host-keys")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def where(sshd: Sshd) -> str:
    return f"{sshd.host}:{sshd.port}"


def fingerprints(cli: CommandLine) -> list[str]:
    return [row["fingerprint"] for row in cli.json(*HOST_KEYS, "list")]


def at_a_terminal(
    cli: CommandLine, *arguments: str, typed: str
) -> subprocess.CompletedProcess[str]:
    """The command as a process whose standard input is a terminal."""
    mine, its = pty.openpty()
    try:
        os.write(mine, typed.encode())
        exported = {name: value for name, value in cli.exported.items() if value is not None}
        return subprocess.run(
            [sys.executable, "-m", "stateroom", *arguments],
            env={"PATH": os.environ["PATH"], **exported},
            cwd=ROOT,
            stdin=its,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(mine)
        os.close(its)


def test_a_scan_shows_the_fingerprint_and_adds_the_key_after_a_yes(
    cli: CommandLine, sshd: Sshd, where: str
) -> None:
    done = at_a_terminal(cli, *HOST_KEYS, "scan", where, typed="y\n")

    assert done.returncode == 0, done.stderr
    assert f"ssh-ed25519 {sshd.fingerprint}" in done.stderr
    assert fingerprints(cli) == [sshd.fingerprint]
    assert cli.json(*HOST_KEYS, "list")[0]["line"] == sshd.known_hosts_line.strip()


def test_a_scan_adds_nothing_after_a_no(cli: CommandLine, where: str) -> None:
    done = at_a_terminal(cli, *HOST_KEYS, "scan", where, typed="n\n")

    assert done.returncode == 1
    assert fingerprints(cli) == []


def test_a_scan_without_a_terminal_asks_for_the_fingerprint(
    cli: CommandLine, sshd: Sshd, where: str
) -> None:
    done = cli.run(*HOST_KEYS, "scan", where)

    assert done.exit_code == 2
    assert sshd.fingerprint in done.stderr
    assert "--fingerprint SHA256:" in done.stderr
    assert fingerprints(cli) == []


def test_the_expected_fingerprint_is_added_and_another_one_is_not(
    cli: CommandLine, sshd: Sshd, where: str
) -> None:
    wrong = cli.run(*HOST_KEYS, "scan", where, "--fingerprint", "SHA256:" + "x" * 43)
    assert fingerprints(cli) == []
    cli.must(*HOST_KEYS, "scan", where, "--fingerprint", sshd.fingerprint)

    assert wrong.exit_code == 1
    assert sshd.fingerprint in wrong.stderr
    assert fingerprints(cli) == [sshd.fingerprint]


def test_a_scan_of_a_host_that_is_known_changes_nothing(cli: CommandLine, where: str) -> None:
    cli.must(*HOST_KEYS, "scan", where, "--yes")
    before = cli.json(*HOST_KEYS, "list")

    again = cli.run(*HOST_KEYS, "scan", where)

    assert again.exit_code == 0
    assert "knows the keys" in again.stderr
    assert cli.json(*HOST_KEYS, "list") == before


def test_a_key_that_has_changed_is_not_added_before_the_old_one_is_removed(
    cli: CommandLine, sshd: Sshd, where: str, tmp_path: Path
) -> None:
    (tmp_path / "old").write_text(sshd.known_as(host_key()))
    cli.must(*HOST_KEYS, "add", "--known-hosts-file", str(tmp_path / "old"))

    refused = cli.run(*HOST_KEYS, "scan", where, "--yes")
    cli.must(*HOST_KEYS, "remove", where)
    cli.must(*HOST_KEYS, "scan", where, "--yes")

    assert refused.exit_code == 1
    assert f"stateroom projects host-keys remove {where}" in refused.stderr
    assert fingerprints(cli) == [sshd.fingerprint]


def test_a_host_that_does_not_answer_is_named(cli: CommandLine) -> None:
    nobody = f"127.0.0.1:{free_port()}"

    done = cli.run(*HOST_KEYS, "scan", nobody, "--yes")

    assert done.exit_code == 1
    assert nobody in done.stderr


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "host:0", "host:99999", "", "a/b"])
def test_what_is_no_host_is_a_usage_error(cli: CommandLine, host: str) -> None:
    done = cli.run(*HOST_KEYS, "scan", "--", host)

    assert done.exit_code == 2
    assert "HOST:PORT" in done.stderr


def test_the_keys_of_a_known_hosts_file_are_added_once(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# mine\n\na.example.com,b.example.com {host_key().public}\n")

    first = cli.table(*HOST_KEYS, "add", "--known-hosts-file", str(file))
    again = cli.json(*HOST_KEYS, "add", "--known-hosts-file", str(file))

    assert [row["HOST"] for row in first] == ["a.example.com,b.example.com"]
    assert again == []
    assert len(fingerprints(cli)) == 1


def test_one_host_of_a_hashed_file_is_added_under_its_name(
    cli: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    wanted = host_key().public
    file.write_text(f"[a.example.com]:2222 {wanted}\nb.example.com {host_key().public}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", str(file)], check=True, capture_output=True)

    cli.must(*HOST_KEYS, "add", "a.example.com:2222", "--known-hosts-file", str(file))
    missing = cli.run(*HOST_KEYS, "add", "c.example.com", "--known-hosts-file", str(file))

    [added] = cli.json(*HOST_KEYS, "list")
    assert added["line"] == f"[a.example.com]:2222 {wanted}"
    assert missing.exit_code == 1
    assert "no key of c.example.com" in missing.stderr


def test_a_file_that_has_no_host_keys_is_refused_with_the_line(
    cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "id.pub").write_text("\nssh-ed25519 AAAA me@laptop\n")

    done = cli.run(*HOST_KEYS, "add", "--known-hosts-file", str(tmp_path / "id.pub"))

    assert done.exit_code == 1
    assert done.stderr.startswith("Error: Line 2: ")


def test_a_host_is_removed_from_the_lines_that_name_it(cli: CommandLine) -> None:
    key, other = host_key().public, host_key().public
    typed = f"a.example.com,b.example.com {key}\nb.example.com {other}\n"
    cli.must(*HOST_KEYS, "add", "--known-hosts-file", "-", typed=typed)

    cli.must(*HOST_KEYS, "remove", "b.example.com")
    again = cli.run(*HOST_KEYS, "remove", "b.example.com")

    assert [row["line"] for row in cli.json(*HOST_KEYS, "list")] == [f"a.example.com {key}"]
    assert again.exit_code == 1


def test_a_project_may_trust_new_hosts_and_stop_doing_so(cli: CommandLine) -> None:
    project = str(cli.exported["STATEROOM_PROJECT"])

    [trusting] = cli.json("projects", "set", project, "--accept-new-host-keys")
    [careful] = cli.json("projects", "set", project, "--refuse-new-host-keys")

    assert trusting["accept_new_host_keys"] is True
    assert careful["accept_new_host_keys"] is False
