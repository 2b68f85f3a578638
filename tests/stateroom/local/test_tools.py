"""`stateroom tools` on a worker's machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import local_command
from tests.support.publisher import Publisher, new_key, write_public


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher(new_key("Publisher <publisher@example.org>"))
    yield made
    made.stop()


def test_versions_are_installed_listed_and_removed(publisher: Publisher, tmp_path: Path) -> None:
    for version in ("0.9.8", "0.10.0", "0.10.1"):
        publisher.publish("tofu", version)
    environment = {
        "PATH": os.defpath,
        "STATEROOM_DATA_DIR": str(tmp_path / "data"),
        "STATEROOM_TOOLS_MIRROR": publisher.url,
        "STATEROOM_TOOLS_KEY": str(write_public(publisher.key, tmp_path / "key.asc")),
    }

    def tools(*arguments: str) -> str:
        done = local_command.run(environment, "tools", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = tools("install", "tofu", "~> 0.9.0")
    second = tools("install", "tofu")
    again = tools("install", "tofu", "0.10.1")
    listed = [
        (tool["name"], tool["version"], tool["origin"])
        for tool in json.loads(tools("list", "--json"))["tools"]
        if tool["origin"] == "tools folder"
    ]
    removed = tools("remove", "tofu", "0.9.8")

    folder = tmp_path / "data" / "tools" / "tofu"
    assert first.strip() == str(folder / "0.9.8" / "tofu")
    assert second.strip() == str(folder / "0.10.1" / "tofu")
    assert "is there already" in again
    assert listed == [("tofu", "0.10.1", "tools folder"), ("tofu", "0.9.8", "tools folder")]
    assert removed.strip() == f"{folder / '0.9.8'} is removed"
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0  # what is beside it stays private


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("install", "tofu", "newest"), "is no version"),
        (("install", "tofu", "0.9.8", "--mirror", "ftp://x"), "is no address of a mirror"),
        (("install", "tofu", "0.9.8", "--key", "/nowhere"), "cannot be read"),
        (("remove", "tofu", "0.9.8"), "There is no tofu 0.9.8"),
        (("remove", "tofu", "latest"), "is not a version"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    environment = {"PATH": os.defpath, "STATEROOM_DATA_DIR": str(tmp_path / "data")}

    done = local_command.run(environment, "tools", *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
