from __future__ import annotations

import pytest

from backend.transactions import Installation
from tests.support import drift
from tests.support.caller import Caller, refused
from tests.support.databases import one_database

FOUND = {
    "resources": [
        {
            "address": 'module.m.a.b["x"]',
            "type": "a",
            "provider": "registry.terraform.io/x/a",
            "action": "update",
            "attributes": [
                {"path": ["tags", 0], "before": {"x": None}, "after": 2, "sensitive": False}
            ],
            "more_attributes": 3,
        }
    ],
    "more_resources": 1,
    "outputs": [
        {
            "name": "o",
            "action": "update",
            "before": "(sensitive value)",
            "after": "(sensitive value)",
            "sensitive": True,
        }
    ],
    "more_outputs": 0,
}


@pytest.fixture
def looked(boss: Caller, shop: str, server: Installation) -> str:
    """The run that has looked for drift in the workspace `app`."""
    run: str = boss.made(f"{shop}/runs", {"operation": "drift"})["id"]
    drift.keep(server, run, FOUND)
    return run


def test_what_was_found_last_is_shown_and_summed_up_with_the_workspace(
    boss: Caller, shop: str, looked: str
) -> None:
    found = boss.get(f"{shop}/workspaces/app/drift").json
    shown = boss.get(f"{shop}/workspaces/app").json["drift"]

    assert found.pop("found") == FOUND
    assert found == shown
    assert (shown["run"], shown["resources"], shown["outputs"]) == (looked, 2, 1)
    assert (shown["unimportant"], shown["partial"], shown["state_is_newer"]) == (4, False, False)


def test_before_anything_has_looked_there_is_a_hint(boss: Caller, shop: str) -> None:
    problem = refused(boss.get(f"{shop}/workspaces/app/drift"), 404, "drift-unknown")

    assert "--operation drift" in problem["detail"]
    assert boss.get(f"{shop}/workspaces/app").json["drift"] is None


@one_database
def test_it_needs_runs_read_and_a_stranger_gets_404(
    boss: Caller, shop: str, looked: str, stranger: Caller
) -> None:
    path = f"{shop}/workspaces/app/drift"
    keeper = boss.with_scopes("templates:manage", project="shop")

    assert refused(keeper.get(path), 403, "scope-missing")["scope"] == "runs:read"
    assert keeper.patch(f"{shop}/workspaces/app", {"start_empty": True}).json["drift"] is None
    refused(stranger.get(path), 404, "not-found")
    refused(boss.get(f"{shop}/workspaces/nothing/drift"), 404, "not-found")
