"""Pages of workspaces: the list, a new one, the first page of one, and its drift."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

LIST = "/projects/shop/workspaces"
AT = f"{LIST}/app"
PAGES = [LIST, f"{LIST}/new", AT, f"{AT}/drift"]


@one_database
def test_every_page_of_a_workspace_has_the_tabs_that_its_reader_may_open(
    visitor_of: Callable[..., Visitor],
) -> None:
    manager, guest = words(visitor_of("manager").read(AT)), words(visitor_of("guest").read(AT))

    assert "Resources Graph Outputs Versions Variables Aliases Lock Settings" in manager
    assert "Runs Variables Lock Settings" in guest


@one_database
@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_few_statements(owner: Visitor, path: str) -> None:
    read_within(owner, path)


@one_database
def test_a_stranger_finds_no_workspace(visitor_of: Callable[..., Visitor]) -> None:
    stranger, guest = visitor_of(None), visitor_of("guest")

    assert [stranger.get(path).status_code for path in PAGES] == [404] * len(PAGES)
    assert stranger.send(LIST, {"name": "mine"}).status_code == 404
    assert guest.get(f"{AT}x").status_code == 404


def test_the_list_has_what_there_is_to_know_at_a_glance(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    boss.made(f"{shop}/workspaces", {"name": "kept"})
    boss.call(
        "POST", "/api/terraform/state/shop/kept", data=b'{"version":4,"serial":7,"lineage":"l"}'
    )
    boss.post(f"{shop}/workspaces/kept/freeze", {"reason": "audit"})
    boss.post(f"{shop}/workspaces/app/lock", {"reason": "mine", "expires_in_minutes": 5})
    run = boss.made(f"{shop}/workspaces/app/runs", {"operation": "plan"})

    page = read_within(owner, LIST)

    assert f"/projects/shop/runs/{run['id']}" in page
    assert "app default locked plan queued" in words(page)
    assert "kept frozen none only keeps a state 1 7" in words(page)


def test_filters_of_the_list_are_its_address(owner: Visitor, boss: Caller, shop: str) -> None:
    for name in ("eu-1", "eu-2", "us_1"):
        boss.made(f"{shop}/workspaces", {"name": name})
    boss.post(f"{shop}/workspaces/eu-2/freeze", {"reason": "audit"})
    boss.post(f"{shop}/workspaces/us_1/lock", {"reason": "mine", "expires_in_minutes": 5})

    for query, there in {
        "?q=EU": ["eu-1", "eu-2"],
        "?q=_": ["us_1"],
        "?q=eu&frozen=1": ["eu-2"],
        "?locked=1": ["us_1"],
        "?locked=1&frozen=1": [],
        "?template=app": ["app"],
        "?template=none": [],
        "?template=-": ["eu-1", "eu-2", "us_1"],
        "?drifted=1": [],
        "?failed=1": [],
        "?deleted=1": [],
        "?cursor=eu-1": ["eu-2", "us_1"],
        "?cursor=zz'": [],
    }.items():
        assert _rows(owner.read(LIST + query)) == there, query


@one_database
def test_an_empty_list_says_what_a_workspace_is(owner: Visitor, boss: Caller, shop: str) -> None:
    boss.delete(f"{shop}/workspaces/app")

    assert "There is no workspace yet" in words(owner.read(LIST))


def test_a_workspace_is_made_with_a_template_variables_and_sets(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    boss.made(f"{shop}/variable-sets", {"name": "common"})
    boss.made(f"{shop}/variable-sets", {"name": "eu"})
    page = owner.read(f"{LIST}/new?template=app")
    assert '<option value="app" selected>' in page

    there = owner.done(
        LIST,
        {
            "name": "staging",
            "template": "app",
            "module_key": "",
            "variable_sets": ["eu", "", "common"],
            **_row(0),
            **_row(3, name="size", value="3", type="number", sensitive="true"),
        },
    )

    assert there == f"{LIST}/staging"
    assert "staging is there" in words(owner.read(there))
    made = boss.get(f"{shop}/workspaces/staging").json
    assert made["template"]["name"] == "app"
    assert [one["name"] for one in made["variable_sets"]] == ["eu", "common"]
    [variable] = boss.get(f"{shop}/workspaces/staging/variables").json["items"]
    assert (variable["name"], variable["type"], variable["sensitive"]) == ("size", "number", True)


@one_database
def test_a_workspace_that_cannot_be_made_is_refused_in_words(owner: Visitor) -> None:
    for fields, said in (
        ({"name": "App!"}, "cannot be a name"),
        ({"name": "new"}, "another meaning in addresses"),
        ({"name": "app"}, "already"),
        ({}, "needs a name"),
        ({"template": "app", **_row(0, name="HOME", kind="environment")}, "HOME"),
        ({"name": "x", "variable_sets": "no"}, "no variable set"),
    ):
        answer = owner.send(LIST, fields)
        assert answer.status_code in {409, 422}, fields
        assert said in words(answer.get_data(as_text=True)), fields


@one_database
def test_every_role_sees_the_buttons_that_it_may_use(visitor_of: Callable[..., Visitor]) -> None:
    guest, runner, manager = (visitor_of(role) for role in ("guest", "task_runner", "manager"))

    assert [f"{LIST}/new" in one.read(LIST) for one in (guest, runner, manager)] == [
        *(False, False, True),
    ]
    assert ["operation=destroy" in one.read(AT) for one in (guest, runner, manager)] == [
        *(False, True, True),
    ]
    assert ["/transfer" in one.read(AT) for one in (guest, runner, manager)] == [
        *(False, False, True),
    ]
    assert guest.get(f"{LIST}/new").status_code == 403


@one_database
def test_the_first_page_tells_who_wrote_the_state_and_what_ran(
    app: Flask, owner: Visitor, boss: Caller, shop: str
) -> None:
    boss.call(
        "POST",
        "/api/terraform/state/shop/app",
        data=b'{"version":4,"serial":7,"lineage":"l","terraform_version":"1.11.4"}',
    )
    run = boss.made(f"{shop}/workspaces/app/runs", {"operation": "plan", "message": "<b>why</b>"})

    page = read_within(owner, AT)

    assert "Version 1 serial 7" in words(page)
    assert "1.11.4" in page
    assert f"/projects/shop/runs/{run['id']}" in page
    assert "&lt;b&gt;why&lt;/b&gt;" in page
    assert "/api/terraform/state/shop/app" in page


@one_database
def test_a_workspace_that_nobody_has_looked_at_says_so(owner: Visitor) -> None:
    assert "Nobody has looked yet" in words(owner.read(f"{AT}/drift"))


def _rows(page: str) -> list[str]:
    """The names of the workspaces in the list."""
    links = page.split(f'<td><a href="{LIST}/')[1:]
    return [link.split('"', 1)[0] for link in links]


def _row(number: int, **fields: str) -> dict[str, str]:
    """A row of a variable in the form of a new workspace; an empty one as browsers send it."""
    given = {"name": "", "value": "", "kind": "terraform", "type": "string"} | fields
    return {f"variables.{number}.{name}": value for name, value in given.items()}
