"""The workspace's state moves to the backend that its sources name, and is closed here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.documents import lock_info
from tests.support.elsewhere import Elsewhere, Http, Pg, give, heading, resources
from tests.support.place import Place
from tests.support.plans import NOTHING
from tests.support.repositories import MODULE, Repository
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool
from tests.support.wire import basic

ENCRYPTED = """
variable "passphrase" { type = string }

terraform {
  encryption {
    key_provider "pbkdf2" "key" { passphrase = var.passphrase }
    method "aes_gcm" "method" { keys = key_provider.pbkdf2.key }
    state { method = method.aes_gcm.method }
  }
}
"""


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


def test_a_state_moves_away_with_its_lineage_and_is_closed_here(
    lived_in: Callable[..., Place], elsewhere: Elsewhere
) -> None:
    place = lived_in(elsewhere)
    ours = place.state.read().body

    run = place.queue("export-state", message="to our own bucket")
    ended = run.wait("applied")

    lineage, serial = heading(elsewhere.stored())
    assert lineage == heading(ours)[0]
    assert serial == heading(ours)[1] + 1
    assert resources(elsewhere.stored()) == resources(ours)
    assert [step["name"] for step in ended["steps"]] == [
        *("clone", "detect", "check", "override", "init", "pull", "target"),
        *("migrate", "verify", "archive"),
    ]
    assert not place.is_locked()
    assert "very-secret-of-s3" not in run.log()

    # closed to every client, open to people
    assert place.state.read().status == 410
    locked = place.state.lock(lock_info())
    assert (locked.status, locked.json()["ID"]) == (423, "state-archived")
    assert elsewhere.kind in locked.json()["Info"]
    late = json.dumps(json.loads(ours) | {"serial": 99}).encode()
    assert place.state.write(late).status == 409
    path = f"/api/v1/projects/{place.project}/workspaces/first/states/1/download"
    assert place.wire.send("GET", path, None, basic(place.state.token)).body == ours

    # and the runs go on with the other backend
    after = place.queue("plan").wait("planned_and_finished")
    assert after["detection"]["inject"] is False
    assert after["changes"] == NOTHING


def test_a_state_that_moved_away_comes_back(
    lived_in: Callable[..., Place], elsewhere: Elsewhere
) -> None:
    place = lived_in(elsewhere)
    place.queue("export-state").wait("applied")

    closed = place.queue("import-state").wait("errored")
    place.api.post(f"/projects/{place.project}/workspaces/first/states/unarchive")
    place.queue("import-state").wait("applied")

    assert closed["error"]["code"] == "state-archived"
    assert place.state.read().body == elsewhere.stored()
    assert len(place.versions()) == 2
    assert ("state.unarchive", place.api.get(_workspace(place))["state"]["id"]) in (
        place.audited_objects()
    )


def _workspace(place: Place) -> str:
    return f"/projects/{place.project}/workspaces/{place.workspace}"


def test_a_state_moves_to_gitlabs_kind_of_backend_without_our_credential(
    lived_in: Callable[..., Place], slow_http: Http
) -> None:
    place = lived_in(slow_http)

    run = place.queue("export-state")
    run.wait("applied")

    given = basic("secret-of-gitlab")["Authorization"]
    assert len(slow_http.logins) == 1
    assert next(iter(slow_http.logins)).split()[0] == given.split()[0]
    assert "secret-of-gitlab" not in run.log()
    assert place.state.read().status == 410


def test_a_copy_that_an_earlier_try_left_is_gone_on_with(
    lived_in: Callable[..., Place], slow_http: Http
) -> None:
    place = lived_in(slow_http)
    slow_http.document = place.state.read().body

    place.queue("export-state").wait("applied")

    assert "POST" not in slow_http.seen
    assert place.state.read().status == 410


def test_a_state_moves_to_a_file_of_the_workers_machine_where_no_sandbox_forbids_it(
    new_stateroom: Callable[..., Stateroom], repository: Repository, tool: Tool, tmp_path: Path
) -> None:
    target = tmp_path / "states" / "net.tfstate"
    place = (
        new_stateroom(sandbox="none")
        .start()
        .place(repository=str(repository.folder), tool=tool.name)
    )
    place.queue("apply").wait("applied")
    ours = place.state.read().body
    repository.commit(
        {"backend.tf": f'terraform {{\n  backend "local" {{\n    path = "{target}"\n  }}\n}}\n'}
    )

    place.queue("export-state").wait("applied")

    assert heading(target.read_bytes())[0] == heading(ours)[0]
    assert resources(target.read_bytes()) == resources(ours)
    assert place.state.read().status == 410


def test_a_state_that_opentofu_encrypts_is_encrypted_there_too(
    run_place: Callable[..., Place], repository: Repository, tool: Tool, pg: Pg
) -> None:
    if tool.name != "tofu":
        pytest.skip("only tofu encrypts")
    place = run_place({"main.tf": MODULE + ENCRYPTED})
    place.set_variable("passphrase", "correct-horse-battery-staple", sensitive=True)
    place.queue("apply").wait("applied")
    repository.commit({"backend.tf": pg.block})
    give(place, pg)

    place.queue("export-state").wait("applied")
    after = place.queue("plan").wait("planned_and_finished")

    stored = json.loads(pg.stored() or b"")
    assert "encrypted_data" in stored
    assert "resources" not in stored
    assert after["changes"]["add"] == 0
