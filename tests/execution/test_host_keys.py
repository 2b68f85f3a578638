"""The server asks no host that its workers would not clone from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.errors import Invalid
from execution.host_keys import scanner
from runner.job import SourcePolicy
from tests.support.sshd import Sshd, any_sshd


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


def test_a_host_is_asked_for_its_keys(sshd: Sshd) -> None:
    scan = scanner(SourcePolicy(private_hosts=True))

    assert scan(f"127.0.0.1:{sshd.port}") == [sshd.known_hosts_line.strip()]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]:22", "169.254.169.254"])
def test_private_hosts_are_refused_as_for_repositories(host: str) -> None:
    with pytest.raises(Invalid) as refused:
        scanner(SourcePolicy())(host)

    assert refused.value.code == "repository-host-refused"


@pytest.mark.parametrize("host", ["", "-v", "a b", "host:0", "host;id", "host:99999"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(Invalid) as refused:
        scanner(SourcePolicy())(host)

    assert refused.value.code == "no-host-key"
