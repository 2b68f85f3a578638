"""What was changed outside, in the pages of a workspace."""

from __future__ import annotations

import pytest

from backend.transactions import Installation
from tests.support import drift
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app"
EVIL = "<script>alert(1)</script>\u202e\x1b[2J"
FOUND = {
    "resources": [
        {
            "address": f'module.m.a.b["{EVIL}"]',
            "type": "a",
            "provider": "registry.terraform.io/x/a",
            "action": "update",
            "attributes": [
                {"path": ["tags", 0], "before": {"x": None}, "after": EVIL, "sensitive": False}
            ],
            "more_attributes": 3,
        },
        {
            "address": "a.gone",
            "type": "a",
            "provider": "x/a",
            "action": "delete",
            "attributes": [],
            "more_attributes": 0,
        },
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


def test_the_page_has_each_attribute_as_it_was_and_is(owner: Visitor, looked: str) -> None:
    page = read_within(owner, f"{AT}/drift")

    assert "3 resources and 1 output differ from the state" in words(page)
    assert 'tags.0 {"x": null} <script>alert(1)</script>\\u202e\\x1b[2J' in words(page)
    assert "And 3 more." in words(page)
    assert "a.gone gone" in words(page)
    assert "o (sensitive value) (sensitive value)" in words(page)
    assert not any(one in page for one in ("<script>alert", "\u202e", "\x1b"))


@one_database
def test_the_list_and_the_first_page_say_that_it_drifted(owner: Visitor, looked: str) -> None:
    assert "app default drifted" in words(owner.read("/projects/shop/workspaces?drifted=1"))
    page = owner.read(AT)
    assert "3 resources and 1 output differ" in words(page)
    assert f"/projects/shop/runs/{looked}" in page


@one_database
def test_a_state_that_was_written_since_is_to_be_looked_at_again(
    owner: Visitor, boss: Caller, looked: str
) -> None:
    body = b'{"version":4,"serial":7,"lineage":"l"}'
    boss.call("POST", "/api/terraform/state/shop/app", data=body)

    assert "The state was written since: look again." in words(owner.read(AT))
