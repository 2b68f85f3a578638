"""A state that cannot move stays where it is, and the run says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api import Api, Refused
from tests.support.documents import lock_info
from tests.support.elsewhere import Elsewhere, Http, Pg, give, seed
from tests.support.place import Place
from tests.support.processes import free_port, wait_until
from tests.support.queued_run import QueuedRun
from tests.support.repositories import MODULE, Repository
from tests.support.tools import Tool, find_tool


@pytest.fixture
def tool(terraform_in_wheel: Path) -> Tool:
    """One of them: what is refused is refused before the tool has a say."""
    return find_tool("terraform", otherwise=terraform_in_wheel)


@pytest.fixture
def lived_in(run_place: Callable[..., Place], repository: Repository) -> Callable[..., Place]:
    """Makes a place with a state of its own, whose sources then name another backend."""

    def make(elsewhere: Elsewhere, **template: object) -> Place:
        place = run_place({"main.tf": MODULE}, **template)
        place.queue("apply").wait("applied")
        repository.commit({"backend.tf": elsewhere.block})
        give(place, elsewhere)
        return place

    return make


def test_nothing_is_imported_from_where_nothing_is(
    run_place: Callable[..., Place], elsewhere: Elsewhere
) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": elsewhere.block})
    give(place, elsewhere)

    ended = place.queue("import-state").wait("errored")

    assert ended["error"]["code"] == "nothing-to-import"
    assert place.versions() == []


def test_nothing_is_imported_from_sources_without_a_backend_or_a_state(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": MODULE})

    ended = place.queue("import-state").wait("errored")

    assert ended["error"]["code"] == "nothing-to-import"


def test_wrong_credentials_at_the_source_change_nothing(
    run_place: Callable[..., Place], pg: Pg
) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": pg.block})
    place.set_variable(
        "PG_CONN_STR",
        _unreachable(),
        kind="environment",
        sensitive=True,
    )

    run = place.queue("import-state")
    ended = run.wait("errored")

    assert ended["error"]["code"] == "init-failed"
    assert "wrong-secret" not in run.log() + ended["error"]["message"]
    assert place.versions() == []


@pytest.fixture
def with_source(
    run_place: Callable[..., Place], tool: Tool, pg: Pg, tmp_path: Path
) -> tuple[Place, bytes]:
    """A place whose sources have a state elsewhere, and that state's document."""
    seed(tool, tmp_path / "laptop", pg, MODULE)
    place = run_place({"main.tf": MODULE, "backend.tf": pg.block})
    give(place, pg)
    document = pg.stored()
    assert document is not None
    return place, document


def test_a_state_of_another_lineage_is_not_replaced(with_source: tuple[Place, bytes]) -> None:
    place, document = with_source
    other = json.dumps(json.loads(document) | {"lineage": "another"}).encode()
    assert place.state.write(other).status == 200

    ended = place.queue("import-state").wait("errored")

    assert ended["error"]["code"] == "lineage-mismatch"
    assert place.state.read().body == other


def test_a_newer_state_is_not_replaced(with_source: tuple[Place, bytes]) -> None:
    place, document = with_source
    newer = json.dumps(json.loads(document) | {"serial": 99}).encode()
    assert place.state.write(newer).status == 200

    ended = place.queue("import-state").wait("errored")

    assert ended["error"]["code"] == "serial-too-low"
    assert place.state.read().body == newer


def test_a_state_that_somebody_locked_is_left_alone(with_source: tuple[Place, bytes]) -> None:
    place, _ = with_source
    assert place.state.lock(lock_info("of-ann")).status == 200

    run = place.queue("import-state")
    wait_until(lambda: waits_for(run) == ["lock"], "the run to wait")

    assert place.versions() == []
    assert place.is_locked()


def test_who_may_not_write_states_imports_none(with_source: tuple[Place, bytes]) -> None:
    place, _ = with_source
    runner = place.with_scopes("runs:create", "runs:approve", "runs:read")

    with pytest.raises(Refused) as refusal:
        Api(place.wire, runner.token).post(
            f"/projects/{place.project}/workspaces/{place.workspace}/runs", operation="import-state"
        )

    assert refusal.value.status == 403
    assert "state:write" in refusal.value.problem["detail"]


def test_a_target_that_holds_another_state_is_left_alone(
    lived_in: Callable[..., Place], slow_http: Http
) -> None:
    other = {"version": 4, "serial": 3, "lineage": "another", "terraform_version": "1.11.4"}
    other |= {"outputs": {"x": {"value": 1, "type": "number"}}, "resources": []}
    slow_http.document = json.dumps(other).encode()
    place = lived_in(slow_http)
    ours = place.state.read().body

    ended = place.queue("export-state").wait("errored")

    assert ended["error"]["code"] == "target-not-empty"
    assert json.loads(slow_http.document) == other
    assert "POST" not in slow_http.seen
    assert place.state.read().body == ours
    assert not place.is_locked()


def test_a_state_that_somebody_locked_stays(lived_in: Callable[..., Place], pg: Pg) -> None:
    place = lived_in(pg)
    assert place.state.lock(lock_info("of-ann")).status == 200

    run = place.queue("export-state")
    wait_until(lambda: waits_for(run) == ["lock"], "the run to wait")

    assert place.state.read().status == 200
    assert place.is_locked()


def test_wrong_credentials_at_the_target_change_nothing(
    lived_in: Callable[..., Place], pg: Pg
) -> None:
    pg.variables = {"PG_CONN_STR": _unreachable()}
    place = lived_in(pg)

    ended = place.queue("export-state").wait("errored")

    assert ended["error"]["code"] == "init-failed"
    assert place.state.read().status == 200
    assert not place.is_locked()


def test_without_a_backend_in_the_sources_there_is_nowhere_to_go(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": MODULE})
    place.queue("apply").wait("applied")

    ended = place.queue("export-state").wait("errored")

    assert ended["error"]["code"] == "no-target"
    assert place.state.read().status == 200


def test_a_state_that_was_never_written_goes_nowhere(
    run_place: Callable[..., Place], pg: Pg
) -> None:
    place = run_place({"main.tf": MODULE, "backend.tf": pg.block})

    ended = place.queue("export-state").wait("errored")

    assert ended["error"]["code"] == "nothing-to-export"


def test_a_local_backend_in_the_runs_own_folder_is_no_target(
    lived_in: Callable[..., Place], pg: Pg
) -> None:
    pg.block = 'terraform {\n  backend "local" {\n    path = "own.tfstate"\n  }\n}\n'
    place = lived_in(pg)

    ended = place.queue("export-state").wait("errored")

    assert ended["error"]["code"] == "state-would-be-lost"
    assert place.state.read().status == 200


def _unreachable() -> str:
    """A database with a password, at a port that nobody listens on."""
    return f"postgres://ann:wrong-secret@127.0.0.1:{free_port()}/x"


def waits_for(run: QueuedRun) -> list[str]:
    return [reason["kind"] for reason in run.api.get(run.path)["waiting_for"]]
