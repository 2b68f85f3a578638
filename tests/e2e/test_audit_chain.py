"""The chain over the audit log, while everybody writes, through several processes and a kill."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.documents import lock_info, state_document
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.processes import wait_until

SETTINGS: dict[str, dict[str, Any]] = {
    "sqlite": {"database": "sqlite"},
    "postgresql-3-processes": {"database": "postgresql", "server_processes": 3},
}
WRITES = 20


@pytest.fixture(params=SETTINGS)
def place(request: pytest.FixtureRequest, installations: Installations) -> Place:
    return installations.place(**SETTINGS[request.param])


def test_the_chain_is_whole_a_second_after_a_parallel_load(place: Place) -> None:
    addresses = [place.state, *(place.another_workspace() for _ in range(7))]

    def apply(number: int) -> list[int]:
        address, info = addresses[number], lock_info()
        statuses = [address.lock(info).status]
        for serial in range(1, WRITES + 1):
            document = state_document(serial, lineage=f"l-{number}")
            statuses += [address.write(document, info["ID"]).status, address.read().status]
        return [*statuses, address.unlock(info).status]

    with ThreadPoolExecutor(len(addresses)) as pool:
        answered = list(pool.map(apply, range(len(addresses))))

    assert {status for statuses in answered for status in statuses} == {200}
    wait_until(lambda: verified(place)["unlinked"] == 0, "every entry to be linked", seconds=20)
    found = verified(place)
    assert found["broken"] is None
    assert found["verified"] >= len(addresses) * 2 * (WRITES + 1)


def verified(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = place.api.get("/audit/verify")
    return found
