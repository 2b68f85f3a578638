"""Looking at a repository over ssh, before there is a template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.config import Settings
from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.repositories import Repository
from tests.support.sshd import Sshd, any_sshd, host_key

pytestmark = one_database


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The server of the tests is on this machine."""
    return settings.model_copy(update={"allow_private_hosts": True})


@pytest.fixture
def sources(tmp_path: Path, shop: str) -> Repository:
    return Repository(tmp_path / "infra")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


def test_a_repository_over_ssh_needs_its_key_and_the_key_of_its_host(
    boss: Caller, sources: Repository, sshd: Sshd
) -> None:
    url = sshd.url(sources.folder)
    unknown = look(boss, url)["problem"]
    assert (unknown["code"], unknown["facts"]["place"]) == (
        "host-key-unknown", f"127.0.0.1:{sshd.port}",
    )  # fmt: skip

    boss.patch("/projects/shop", {"known_hosts": sshd.known_hosts_line})
    assert look(boss, url)["problem"]["code"] == "repository-access-denied"

    key = boss.made("/projects/shop/keys", {"name": "deploy", "kind": "ssh", "generate": True})
    assert look(boss, url, key="deploy")["problem"]["code"] == "repository-access-denied"
    sshd.authorize(key["public_key"])
    assert look(boss, url, key="deploy")["problem"] is None

    boss.patch("/projects/shop", {"known_hosts": sshd.known_as(host_key())})
    assert look(boss, url, key="deploy")["problem"]["code"] == "host-key-changed"


def look(boss: Caller, where: str, **wanted: Any) -> Any:
    answer = boss.post("/projects/shop/templates/preview", {"repository": where, **wanted})
    assert answer.status_code == 200, answer.json
    return answer.json
