"""/metrics of a server with several processes, and of the worker beside it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from client.conformance.wire import bearer
from tests.support.processes import wait_until
from tests.support.stateroom import Stateroom

TOKEN = "a token for prometheus"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_all_processes_of_a_server_count_together_and_a_worker_that_stops_vanishes(
    new_stateroom: Callable[..., Stateroom], database: str
) -> None:
    running = new_stateroom(database_url=database, server_processes=2, metrics_token=TOKEN).start()

    def measured() -> str:
        answer = running.wire.send("GET", "/metrics", None, bearer(TOKEN))
        assert answer.status == 200, answer
        return answer.body.decode()

    wait_until(lambda: "stateroom_worker_slots{" in measured(), "the worker")
    for _ in range(40):
        running.wire.send("GET", "/healthz", None, {})

    counted = re.search(
        r'requests_total\{method="GET",route="/healthz",status="200"\} (\S+)', measured()
    )
    assert counted is not None
    assert float(counted[1]) == 40
    assert list(running.configuration.metrics_dir.glob("counter_*.db"))

    running.workers.pop().stop(30)
    assert "stateroom_worker_slots{" not in measured()
