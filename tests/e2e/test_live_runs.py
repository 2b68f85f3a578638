"""Following runs through a real server: over its restart, and through a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests

from tests.support.nginx import nginx
from tests.support.place import Place
from tests.support.processes import free_port
from tests.support.repositories import Repository
from tests.support.sse import Event, events, log_in
from tests.support.stateroom import Stateroom

SLOW = """
resource "terraform_data" "gate" {
  provisioner "local-exec" {
    command = "echo it waits; while [ ! -e $GATE ]; do sleep 0.1; done; echo it goes on"
  }
}
"""


@contextmanager
def following(place: Place, path: str, after: str = "", url: str = "") -> Iterator[Iterator[Event]]:
    headers = {"Authorization": f"Bearer {place.api.token}"}
    if after:
        headers["Last-Event-ID"] = after
    where = f"{url or place.wire.url}/api/v1{path}/events"
    with closing(requests.get(where, headers=headers, stream=True, timeout=60)) as answer:
        assert answer.status_code == 200, answer.text
        yield events(answer.iter_content(None))


def until_it_waits(told: Iterator[Event]) -> list[Event]:
    seen = []
    for event in told:
        seen.append(event)
        if event.name == "log" and "it waits" in event.data["text"]:
            return seen
    raise AssertionError(seen)


def test_a_run_is_followed_over_a_restart_of_the_server_without_a_gap(
    new_stateroom: Callable[..., Stateroom], repository: Repository, gate: Path
) -> None:
    repository.replace({"main.tf": SLOW.replace("$GATE", str(gate))})
    stateroom = new_stateroom(sandbox_readable=str(gate.parent)).start()
    place = stateroom.place(repository=str(repository.folder))
    run = place.queue()
    with following(place, run.path) as told:
        first = until_it_waits(told)

        stateroom.kill_server()
    stateroom.start_server()
    gate.touch()
    with following(place, run.path, first[-1].id) as told:
        second = list(told)

    assert second[-1].name == "end"
    assert second[-1].data["status"] == "applied"
    assert log_in([*first, *second]) == run.log()
    of_steps = [event.data for event in [*first, *second] if event.name == "step"]
    done = [step["name"] for step in of_steps if step["status"] == "done"]
    assert done == [step["name"] for step in run.steps()]


def test_events_come_through_nginx_as_they_happen(
    place_with: Callable[..., Place], repository: Repository, gate: Path, tmp_path: Path
) -> None:
    repository.replace({"main.tf": SLOW.replace("$GATE", str(gate))})
    place = place_with(repository=str(repository.folder))
    # buffering as nginx does it if nobody forbids it
    block = f"location / {{ proxy_pass {place.wire.url}; proxy_http_version 1.1; }}"

    with nginx(tmp_path / "nginx", free_port(), block) as url:
        run = place.queue()
        with following(place, run.path, url=url) as told:
            seen = until_it_waits(told)
            gate.touch()
            seen += list(told)

    assert seen[-1].name == "end"
    assert log_in(seen) == run.log()
