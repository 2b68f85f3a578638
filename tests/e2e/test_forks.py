"""No run begins a second state of a workspace without asking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.elsewhere import Pg, give
from tests.support.place import Place
from tests.support.repositories import MODULE, Repository
from tests.support.tools import Tool, find_tool


@pytest.fixture
def tool(terraform_in_wheel: Path) -> Tool:
    """One of them: a fork is seen before the tool has a say."""
    return find_tool("terraform", otherwise=terraform_in_wheel)


@pytest.fixture
def at_home(run_place: Callable[..., Place]) -> Place:
    """A place whose state is here."""
    place = run_place({"main.tf": MODULE})
    place.queue("apply").wait("applied")
    return place


@pytest.fixture
def at_theirs(run_place: Callable[..., Place], pg: Pg) -> Place:
    """A place whose state is where its sources say."""
    place = run_place({"main.tf": MODULE, "backend.tf": pg.block})
    give(place, pg)
    place.queue("apply").wait("applied")
    return place


def backend_mode(place: Place, mode: str) -> None:
    place.api.patch(f"/projects/{place.project}/templates/module", backend_mode=mode)


@pytest.mark.parametrize(
    ("operation", "mode"),
    [("plan", "auto"), ("apply", "auto"), ("destroy", "auto"), ("plan", "off")],
)
def test_a_backend_that_comes_into_the_sources_does_not_begin_a_second_state(
    at_home: Place, repository: Repository, pg: Pg, operation: str, mode: str
) -> None:
    repository.commit({"backend.tf": pg.block})
    give(at_home, pg)
    backend_mode(at_home, mode)

    ended = at_home.queue(operation).wait("errored")

    assert ended["error"]["code"] == "state-would-fork"
    for word in ("backend.tf:2", "backend:pg", "export-state", "override"):
        assert word in ended["error"]["message"]
    assert pg.stored() is None
    assert len(at_home.versions()) == 1


def test_the_mode_override_keeps_the_state_here(
    at_home: Place, repository: Repository, pg: Pg
) -> None:
    repository.commit({"backend.tf": pg.block})
    backend_mode(at_home, "override")

    ended = at_home.queue("apply").wait("planned_and_finished")

    assert ended["changes"]["add"] == 0


def test_a_state_that_was_destroyed_is_no_reason_to_stay(
    at_home: Place, repository: Repository, pg: Pg
) -> None:
    at_home.queue("destroy").wait("applied")
    repository.commit({"backend.tf": pg.block})
    give(at_home, pg)

    at_home.queue("apply").wait("applied")

    assert pg.stored() is not None


def test_a_backend_that_goes_out_of_the_sources_does_not_make_everything_again(
    at_theirs: Place, repository: Repository
) -> None:
    repository.replace({"main.tf": MODULE})

    ended = at_theirs.queue("apply").wait("errored")

    assert ended["error"]["code"] == "state-elsewhere"
    for word in ("backend:pg", "import-state", "start_empty"):
        assert word in ended["error"]["message"]
    assert at_theirs.versions() == []


def test_nor_does_the_mode_override(at_theirs: Place) -> None:
    backend_mode(at_theirs, "override")

    ended = at_theirs.queue("plan").wait("errored")

    assert ended["error"]["code"] == "state-elsewhere"


def test_the_state_is_fetched_from_the_commit_that_still_names_its_backend(
    at_theirs: Place, repository: Repository
) -> None:
    before = at_theirs.queue("plan").wait("planned_and_finished")["commit"]
    repository.replace({"main.tf": MODULE})

    at_theirs.queue("import-state", ref=before).wait("applied")
    ended = at_theirs.queue("apply").wait("planned_and_finished")

    assert ended["changes"]["add"] == 0


def test_who_says_so_begins_with_nothing(at_theirs: Place, repository: Repository) -> None:
    repository.replace({"main.tf": MODULE})

    started = at_theirs.queue("apply", start_empty=True).wait("applied")
    following: dict[str, Any] = at_theirs.queue("apply").wait("planned_and_finished")

    assert started["start_empty"] is True
    assert started["changes"]["add"] == 1
    assert following["changes"]["add"] == 0


def test_a_state_that_was_destroyed_where_it_was_is_not_asked_for(
    at_theirs: Place, repository: Repository
) -> None:
    at_theirs.queue("destroy").wait("applied")
    repository.replace({"main.tf": MODULE})

    at_theirs.queue("apply").wait("applied")

    assert len(at_theirs.versions()) == 1


def test_a_state_that_moved_away_is_not_injected_again(
    at_home: Place, repository: Repository, pg: Pg
) -> None:
    repository.commit({"backend.tf": pg.block})
    give(at_home, pg)
    at_home.queue("export-state").wait("applied")
    repository.replace({"main.tf": MODULE})

    ended = at_home.queue("plan").wait("errored")

    assert ended["error"]["code"] == "state-archived"
    assert "unarchive" in ended["error"]["message"]


def test_both_states_are_never_in_use_after_one_is_opened_again(
    at_home: Place, repository: Repository, pg: Pg
) -> None:
    repository.commit({"backend.tf": pg.block})
    give(at_home, pg)
    at_home.queue("export-state").wait("applied")
    at_home.api.post(f"/projects/{at_home.project}/workspaces/first/states/unarchive")

    ended = at_home.queue("apply").wait("errored")

    assert ended["error"]["code"] == "state-would-fork"
