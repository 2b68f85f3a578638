"""Keys are rotated while everybody works; nobody notices, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import local_command
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.stateroom import Stateroom
from tests.support.traffic import Traffic, traffic

MAKE = Callable[..., Stateroom]


def said(installation: Stateroom, *arguments: str) -> dict[str, Any]:
    """The JSON of a command that has to succeed."""
    done = local_command.run(installation.environment(), *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def keys(installation: Stateroom) -> dict[str, dict[str, Any]]:
    return {key["key_id"]: key for key in said(installation, "keys", "status")["keys"]}


def only_one_wraps(installation: Stateroom) -> bool:
    return [key["seals"] for key in keys(installation).values() if key["wraps"]] == [True]


def versions_of(place: Place, going: Traffic) -> dict[str, list[bytes]]:
    """Every version that is kept, as it is downloaded."""
    found = {}
    for address in going.addresses:
        path = f"/projects/{place.project}/workspaces/{address.path.rpartition('/')[2]}/states"
        bodies = []
        for number in range(1, len(going.written[address.path]) + 1):
            answer = place.api.send("GET", f"{path}/{number}/download")
            bodies.append(answer.body if answer.status == 200 else str(answer).encode())
        found[address.path] = bodies
    return found


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_keys_are_rotated_under_load_and_whoever_rotates_is_killed(
    new_stateroom: MAKE, database: str
) -> None:
    several = {"database_url": database, "server_processes": 2} if database else {}
    installation = new_stateroom(**several)
    installation.start_server()
    place = installation.place()

    with traffic(place) as going:
        going.wait_for(10)
        for _ in range(2):
            rotating = installation.command("keys", "rotate", "--wait")
            wait_until(lambda r=rotating: "seals from now on" in r.said(), "the new key")  # type: ignore[misc]
            rotating.kill()
            going.wait_for(3)
        last = installation.command("keys", "rotate", "--wait")
        going.wait_for(5)
        last.wait()
        going.wait_for(5)

    wait_until(lambda: only_one_wraps(installation), "all to be under the last key", every=0.5)
    assert len(keys(installation)) == 4
    assert versions_of(place, going) == going.acknowledged()
    assert said(installation, "keys", "verify")["failed"] == []


def test_running_servers_re_wrap_without_being_asked_again(new_stateroom: MAKE) -> None:
    installation = new_stateroom()
    installation.start(workers=1)
    place = installation.place()
    with traffic(place, clients=1) as going:
        going.wait_for(5)
    installation.command("keys", "rotate").wait()

    wait_until(lambda: only_one_wraps(installation), "all to be under the new key", every=0.3)

    assert versions_of(place, going) == going.acknowledged()


def test_a_server_that_was_killed_goes_on_with_the_rotation_when_it_is_back(
    new_stateroom: MAKE,
) -> None:
    installation = new_stateroom()
    installation.start_server()
    place = installation.place()
    with traffic(place, clients=1) as going:
        going.wait_for(5)
    installation.kill_server()
    installation.command("keys", "rotate").wait()
    assert not only_one_wraps(installation)

    installation.start_server()

    wait_until(lambda: only_one_wraps(installation), "all to be under the new key", every=0.3)
    assert versions_of(place, going) == going.acknowledged()
