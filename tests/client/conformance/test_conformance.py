"""The suite that `stateroom doctor` runs, against real servers: every check is one test."""

from __future__ import annotations

import pytest

from client.conformance.check import Check
from client.conformance.suite import CHECKS
from client.conformance.target import Target
from client.conformance.wire import Wire
from tests.support.installations import Installations

SERVERS = {
    "sqlite": {"database": "sqlite"},
    "postgresql": {"database": "postgresql"},
    "postgresql-3-processes": {"database": "postgresql", "server_processes": 3},
}


@pytest.fixture(params=SERVERS)
def target(request: pytest.FixtureRequest, installations: Installations) -> Target:
    """A state that was never written, on a server of each kind."""
    place = installations.place(**SERVERS[request.param])  # type: ignore[arg-type]
    return Target(
        Wire(place.wire.url),
        place.state.path,
        "token",
        place.state.token,
        size_limit=2_000_000,
        stall_seconds=0.5,
        clients=50,
        shown_address=place.state.url,
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.theme}: {check.name}")
def test_the_server_keeps_the_protocol(check: Check, target: Target) -> None:
    check.ask(target)
