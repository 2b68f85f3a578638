"""Bad input: the run ends with an error that says what to do, and nothing is changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Refused
from tests.support.place import Place
from tests.support.processes import free_port, wait_until
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom


@pytest.fixture
def refused_run(place_with: Callable[..., Place]) -> Callable[..., dict[str, Any]]:
    """The error of a run of a template with these fields."""

    def run(**template: object) -> dict[str, Any]:
        place = place_with(**template)
        ended = place.queue("apply").wait("errored")
        assert place.versions() == []
        assert not place.is_locked()
        error: dict[str, Any] = ended["error"]
        return error

    return run


def test_a_branch_that_does_not_exist(
    refused_run: Callable[..., dict[str, Any]], repository: Repository
) -> None:
    error = refused_run(repository=str(repository.folder), ref="mistyped")

    assert error["code"] == "ref-not-found"
    assert "mistyped" in error["message"]


def test_a_folder_that_does_not_exist(
    refused_run: Callable[..., dict[str, Any]], repository: Repository
) -> None:
    error = refused_run(repository=str(repository.folder), path="mistyped")

    assert error["code"] == "path-not-found"


def test_a_repository_that_does_not_exist(
    refused_run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    error = refused_run(repository=str(tmp_path / "mistyped"))

    assert error["code"] == "repository-not-found"


def test_a_private_host_that_no_administrator_allows(
    refused_run: Callable[..., dict[str, Any]],
) -> None:
    error = refused_run(repository=f"https://127.0.0.1:{free_port()}/x.git")

    assert error["code"] == "repository-host-refused"


def test_a_link_that_leaves_the_repository(
    refused_run: Callable[..., dict[str, Any]], repository: Repository
) -> None:
    repository.link("keyring.tf", "/etc/passwd")

    error = refused_run(repository=str(repository.folder))

    assert error["code"] == "symlink-leaves-repository"


@pytest.mark.parametrize("path", ["..", "../other", "/etc", "a/../../b", "a/../..", ".git"])
def test_a_path_that_leaves_the_repository_is_refused_at_once(
    place_with: Callable[..., Place], path: str
) -> None:
    with pytest.raises(Refused) as refusal:
        place_with(path=path)

    assert refusal.value.status == 422
    assert refusal.value.problem["code"] == "path-invalid"


@pytest.mark.parametrize(
    "repository",
    [
        *("--upload-pack=x", "ext::sh -c x", "https://ann:secret@example.com/x.git", "ftp://x/y"),
        *("", "/etc", "file:///etc", "http://example.com/x.git"),
    ],
)
def test_a_repository_that_cannot_be_one_is_refused_at_once(
    place_with: Callable[..., Place], repository: str
) -> None:
    with pytest.raises(Refused) as refusal:
        place_with(repository=repository)

    assert refusal.value.status == 422
    assert "secret" not in str(refusal.value)


@pytest.fixture
def bare(new_stateroom: Callable[..., Stateroom], tmp_path: Path) -> Stateroom:
    """An installation on a machine that has git, and no tool on PATH, but hosts of all kinds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    git = shutil.which("git")
    assert git is not None
    (folder / "git").symlink_to(git)
    installation = new_stateroom(allow_private_hosts=True)
    installation.path = os.fspath(folder)
    return installation.start()


def test_a_machine_without_a_network(bare: Stateroom, repository: Repository) -> None:
    no_host = bare.place(repository=f"https://127.0.0.1:{free_port()}/x.git").queue("apply")

    unreachable = no_host.wait("errored")["error"]

    assert unreachable["code"] == "repository-unreachable"


def test_a_machine_without_the_tool_is_waited_for(bare: Stateroom, repository: Repository) -> None:
    run = bare.place(repository=str(repository.folder), tool="tofu").queue("apply")

    def by_tool() -> list[str]:
        waits = run.api.get(run.path)["waiting_for"]  # for the worker itself, until it has started
        return [reason["message"] for reason in waits if reason["kind"] == "tool"]

    [message] = wait_until(by_tool, "that it is said what it waits for")

    assert "a worker that has tofu (they have none)" in message
    assert run.status() == "queued"
    run.cancel()


def test_a_shim_as_tool_that_starts_what_the_sandbox_hides(
    new_stateroom: Callable[..., Stateroom], repository: Repository
) -> None:
    installation = new_stateroom()
    real, shim = (installation.folder / name / "terraform" for name in ("real", "tools"))
    says = """echo '{"terraform_version": "1.9.0"}'"""
    for file, command in ((real, says), (shim, f'exec {real} "$@"')):
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\n{command}\n")
        file.chmod(0o755)
    installation.settings["tools_dir"] = shim.parent
    installation.start()

    ended = installation.place(repository=str(repository.folder)).queue("plan").wait("errored")

    assert ended["error"]["code"] == "tool-hidden"
    assert str(shim) in ended["error"]["message"]
    assert "STATEROOM_SANDBOX_READABLE" in ended["error"]["message"]
