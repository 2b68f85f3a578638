"""One death of each kind, in the middle of an apply: nothing that was made is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.cloud import Cloud
from tests.support.deaths import Deaths
from tests.support.harm import Harmed
from tests.support.processes import wait_until
from tests.support.repositories import Repository
from tests.support.small_disk import small_disk
from tests.support.stateroom import Stateroom

ON_A_DISK = ("full disk of the server", "full disk of the worker")


@pytest.fixture
def installation(new_stateroom: Callable[..., Stateroom]) -> Stateroom:
    return new_stateroom(lease_seconds=3, stop_grace_seconds=10)


def harm(
    installation: Stateroom, repository: Repository, cloud: Cloud, deaths: Deaths, way: str
) -> Harmed:
    """An apply that was hurt this way when it had made something, and has ended."""
    repository.replace({"main.tf": cloud.module(resources=4, seconds=1)})
    harmed = Harmed(installation, repository, cloud)
    wait_until(harmed.has_begun, "the apply to make something")
    deaths.ways[way]()
    harmed.end()
    return harmed


@pytest.mark.parametrize("way", ["worker", "server", "both", "paused worker"])
def test_whoever_dies_nothing_that_was_made_is_lost(
    installation: Stateroom, repository: Repository, cloud: Cloud, way: str
) -> None:
    deaths = Deaths(installation.start())

    harmed = harm(installation, repository, cloud, deaths, way)

    assert harmed.lost() == set()
    assert harmed.made_twice() == set()
    assert not harmed.place.is_locked()


@pytest.mark.parametrize("way", ON_A_DISK)
def test_whichever_disk_is_full_nothing_that_was_made_is_lost(
    installation: Stateroom, repository: Repository, cloud: Cloud, way: str
) -> None:
    with (
        small_disk(installation.data_dir, 128) as server,
        small_disk(installation.work_dir) as work,
    ):
        deaths = Deaths(installation.start(), server_disk=server, worker_disk=work)

        harmed = harm(installation, repository, cloud, deaths, way)

        assert harmed.lost() == set()
        assert harmed.made_twice() == set()
        assert not harmed.place.is_locked()
        assert installation.stop_processes() == []
