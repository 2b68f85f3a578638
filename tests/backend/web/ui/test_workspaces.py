"""Pages of workspaces: the list, a new one, and the first page of one."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app"


@one_database
def test_every_page_of_a_workspace_has_the_tabs_that_its_reader_may_open(
    visitor_of: Callable[..., Visitor],
) -> None:
    manager, guest = words(visitor_of("manager").read(AT)), words(visitor_of("guest").read(AT))

    assert "Resources Graph Outputs Versions Variables Aliases Lock Settings" in manager
    assert "Runs Variables Lock Settings" in guest


@one_database
def test_a_stranger_finds_no_workspace(visitor_of: Callable[..., Visitor]) -> None:
    assert visitor_of(None).get(AT).status_code == 404
    assert visitor_of("guest").get(f"{AT}x").status_code == 404


@one_database
def test_the_head_of_a_workspace_needs_few_statements(owner: Visitor) -> None:
    read_within(owner, AT, 4)
