"""The graph of a state over the API, and the same answers from a process of its own."""

from __future__ import annotations

import gzip
import json

import pytest
from sqlalchemy import select

from backend.models import AuditEntry
from backend.states import resources
from backend.transactions import Installation
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.documents import encrypted_document
from tests.support.resources import document, large_document, resource

STATE = "/api/terraform/state/shop/app"
TWO = document(resource("net"), resource("web", "aws_instance.net", keys=("a",), password="s3cret"))


@pytest.fixture
def graph(app_workspace: str) -> str:
    return f"{app_workspace}/graph"


def test_the_graph_has_nodes_and_edges_and_no_attributes(boss: Caller, graph: str) -> None:
    assert boss.get(graph).json["version"] is None
    boss.call("POST", STATE, data=TWO)

    answer = boss.get(graph)

    found = answer.json
    assert found["version"] == 1
    assert [node["address"] for node in found["nodes"]] == ["aws_instance.net", "aws_instance.web"]
    assert found["edges"] == [[1, 0]]
    assert found["nodes"][1]["is_keyed"] is True
    assert "s3cret" not in answer.get_data(as_text=True)


@one_database
def test_a_large_document_is_looked_through_in_a_process_of_its_own(
    boss: Caller, graph: str, here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss.call("POST", STATE, data=TWO)
    at_hand = boss.get(graph).json
    monkeypatch.setattr(resources, "SMALL", 0)
    monkeypatch.setattr(resources, "_last_drawn", resources._LastDrawn())

    assert boss.get(graph).json == at_hand
    seen = resources.get(here.itself, "shop", "app", "latest", 'aws_instance.web["a"]')
    assert seen.found is not None
    assert "s3cret" not in repr(seen.found)

    boss.call("POST", STATE, data=b'{"version": 3, "serial": 9, "lineage": "l"}')
    refused(boss.get(graph), 409, "state-not-readable")


@one_database
def test_a_large_graph_is_short_on_the_wire(boss: Caller, graph: str) -> None:
    boss.call("POST", STATE, data=large_document(500))

    answer = boss.call("GET", graph, headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < 15_000
    assert len(json.loads(gzip.decompress(answer.data))["nodes"]) == 500


@one_database
def test_a_graph_that_is_kept_is_for_who_may_read_it_only(
    boss: Caller, graph: str, stranger: Caller, app_workspace: str
) -> None:
    boss.call("POST", STATE, data=TWO)
    boss.call("POST", STATE, data=document(serial=2))
    assert len(boss.get(graph, version="1").json["nodes"]) == 2

    refused(stranger.get(graph, version="1"), 404, "not-found")
    assert boss.get(graph).json["nodes"] == []
    boss.delete(f"{app_workspace}/states/1")
    refused(boss.get(graph, version="1"), 410, "version-removed")


@one_database
def test_a_state_that_nobody_can_look_into_says_so(boss: Caller, graph: str) -> None:
    boss.call("POST", STATE, data=encrypted_document(1))

    refused(boss.get(graph), 409, "state-encrypted")
    refused(boss.get(graph, version="7"), 404, "not-found")
    refused(boss.get(graph, version="x"), 422, "invalid-request")


@one_database
def test_the_graph_needs_state_read(boss: Caller, graph: str, stranger: Caller) -> None:
    refused(boss.with_scopes("runs:read").get(graph), 403, "scope-missing")
    refused(stranger.get(graph), 404, "not-found")


@one_database
def test_only_attributes_are_an_entry_of_the_audit_log(
    boss: Caller, app_workspace: str, here: Installation
) -> None:
    boss.call("POST", STATE, data=TWO)
    at = "shop", "app", "latest"
    resources.draw(here.itself, *at)
    resources.summarise(here.itself, *at)

    resources.get(here.itself, *at, "aws_instance.net")

    with here.itself.reading() as tx:
        actions = tx.db.scalars(select(AuditEntry.action)).all()
    assert actions.count("state.show_resource") == 1
