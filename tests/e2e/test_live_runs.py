"""Following runs through a real server: over its restart, and through a proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.support.nginx import nginx
from tests.support.place import Place
from tests.support.processes import free_port, wait_until
from tests.support.repositories import Repository, waiting_module
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
    progress = [event.data for event in seen if event.name == "progress"]
    assert progress[-1] == place.api.get(run.path)["progress"]


def test_a_run_tells_what_it_is_at_work_with(
    run_place: Callable[..., Place], repository: Repository, gate: Path
) -> None:
    repository.replace({"main.tf": waiting_module(gate)})
    place = run_place()
    run = place.queue()

    def progress() -> dict[str, Any]:
        return place.api.get(run.path)["progress"] or {"active": [], "done": 0}

    wait_until(lambda: progress()["done"] and progress()["active"], "the second to begin")
    at_work = progress()
    gate.touch()
    ended = run.wait("applied")

    assert [(one["address"], one["action"]) for one in at_work.pop("active")] == [
        ("terraform_data.slow", "create")
    ]
    counts = {"step": "apply", "total": 2, "unfinished": 0, "refreshed": 0}
    assert at_work == counts | {"done": 1, "active_count": 1}
    assert ended["progress"] == counts | {"done": 2, "active": [], "active_count": 0}


def test_a_run_tells_how_far_it_came_before_it_failed(
    run_place: Callable[..., Place], repository: Repository, gate: Path
) -> None:
    module = waiting_module(gate).replace(f"while ! test -e {gate}; do sleep 1; done", "exit 3")
    repository.replace({"main.tf": module})

    ended = run_place().queue().wait("errored")

    told = ended["progress"]
    assert (told["total"], told["done"], told["unfinished"]) == (2, 1, 1)
