"""Two workspaces whose sources name one backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.elsewhere import Elsewhere, Http, Pg, give, seed
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.repositories import MODULE
from tests.support.tools import Tool, find_tool


@pytest.fixture
def tool(terraform_in_wheel: Path) -> Tool:
    """One of them: both record their backend in the same way, which other tests see."""
    return find_tool("terraform", otherwise=terraform_in_wheel)


@pytest.fixture
def two_workspaces(run_place: Callable[..., Place]) -> Callable[[Elsewhere], Place]:
    """Makes a place with the workspaces `first` and `second`, both with that backend's login."""

    def make(elsewhere: Elsewhere) -> Place:
        place = run_place({"main.tf": MODULE, "backend.tf": elsewhere.block})
        place.api.post(f"/projects/{place.project}/workspaces", name="second", template="module")
        for workspace in ("second", "first"):
            place.workspace = workspace
            give(place, elsewhere)
        return place

    return make


def share(place: Place, workspace: str) -> None:
    path = f"/projects/{place.project}/workspaces/{workspace}"
    place.api.patch(path, shares_backend=True)


def test_the_second_is_refused_by_name_until_somebody_says_that_they_share_it(
    two_workspaces: Callable[[Elsewhere], Place], elsewhere: Elsewhere
) -> None:
    place = two_workspaces(elsewhere)
    place.queue("apply", workspace="first").wait("applied")

    refused = place.queue("plan", workspace="second").wait("errored")
    place.queue("plan", workspace="first").wait("planned_and_finished")
    share(place, "second")
    shared = place.queue("apply", workspace="second").wait("planned_and_finished")

    assert refused["error"]["code"] == "backend-shared"
    for words in ("the workspace first", "set second --shares-backend", '"shares_backend": true'):
        assert words in refused["error"]["message"]
    assert shared["changes"]["add"] == 0
    found = place.api.get(f"/projects/{place.project}/workspaces/first")
    assert found["own_backend"].startswith(elsewhere.kind.removeprefix("backend:") + " ")
    assert ("workspace.set_shares_backend", True) in place.audited("value")


def test_what_the_first_keeps_there_is_not_imported_by_the_second(
    two_workspaces: Callable[[Elsewhere], Place], pg: Pg
) -> None:
    place = two_workspaces(pg)
    place.queue("apply", workspace="first").wait("applied")

    refused = place.queue("import-state", workspace="second").wait("errored")

    assert refused["error"]["code"] == "backend-shared"


def test_runs_that_share_a_backend_never_work_at_once(
    two_workspaces: Callable[[Elsewhere], Place], slow_http: Http
) -> None:
    place = two_workspaces(slow_http)
    share(place, "second")
    for workspace in ("first", "second"):
        place.queue("plan", workspace=workspace).wait("planned_and_finished")
    writing = slow_http.stall("POST", 1)

    first = place.queue("apply", workspace="first")
    wait_until(lambda: "POST" in slow_http.seen, "the first one to write")
    second = place.queue("apply", workspace="second")
    waits = place.api.get(second.path)
    another = place.queue("plan", workspace="first")
    writing.set()
    ended = [run.wait() for run in (first, second, another)]

    assert (waits["status"], waits["blocked_by"]) == ("queued", first.id)
    assert [run["error"] for run in ended] == [None, None, None]
    assert ended[1]["changes"]["add"] == 0
    assert ended[1]["started_at"] >= ended[0]["finished_at"]


def test_a_workspace_whose_state_is_here_now_has_left_its_backend(
    two_workspaces: Callable[[Elsewhere], Place], pg: Pg, tool: Tool, tmp_path: Path
) -> None:
    seed(tool, tmp_path / "laptop", pg, MODULE)
    place = two_workspaces(pg)
    place.queue("import-state", workspace="first").wait("applied")
    place.api.patch(f"/projects/{place.project}/templates/module", backend_mode="override")

    place.queue("plan", workspace="first").wait("planned_and_finished")

    found = place.api.get(f"/projects/{place.project}/workspaces/first")
    assert found["own_backend"] is None
