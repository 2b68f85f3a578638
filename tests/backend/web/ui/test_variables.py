"""Pages of the variables of a workspace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app/variables"
SECRET = "hunter2-and-more"


@pytest.fixture
def sets(boss: Caller, shop: str) -> None:
    """The workspace has two sets and a survey, with the same names in several places."""
    for name, values in {"common": ("a", "b"), "eu": ("b", "c")}.items():
        boss.made(f"{shop}/variable-sets", {"name": name})
        for one in values:
            boss.made(
                f"{shop}/variable-sets/{name}/variables", {"name": one, "value": f"of-{name}"}
            )
    boss.patch(f"{shop}/workspaces/app", {"variable_sets": ["common", "eu"]})
    boss.made(AT, {"name": "c", "value": "of-app"})


def test_a_variable_is_set_changed_and_deleted(owner: Visitor, boss: Caller) -> None:
    assert "No variable is set" in words(owner.read(AT))

    owner.done(AT, {"name": "region", "value": "eu-1", "kind": "terraform", "type": "string"})

    assert "region eu-1 string this workspace" in words(owner.read(AT))
    [made] = boss.get(AT).json["items"]
    assert "eu-1" in read_within(owner, f"{AT}/{made['id']}")
    owner.done(f"{AT}/{made['id']}", {"value": "[1]", "type": "hcl", "sensitive": "false"})
    assert boss.get(f"{AT}/terraform/region").json["value"] == "[1]"
    owner.done(f"{AT}/{made['id']}/delete")
    assert boss.get(AT).json["items"] == []


@one_database
def test_the_page_tells_which_value_counts_and_what_it_hides(
    owner: Visitor, boss: Caller, sets: None
) -> None:
    page = words(read_within(owner, AT))

    assert "a of-common string set common" in page
    assert "b of-eu string set eu hides set common" in page
    assert "c of-app string this workspace hides set eu" in page
    assert "Variable sets, in their order: common , eu" in page


@one_database
def test_a_sensitive_value_is_never_shown_and_stays_when_it_is_not_replaced(
    owner: Visitor, boss: Caller
) -> None:
    given = {"name": "password", "value": SECRET, "kind": "environment", "sensitive": "true"}
    owner.done(AT, given)
    [made] = boss.get(AT).json["items"]
    one = f"{AT}/{made['id']}"

    assert SECRET not in owner.read(AT) + owner.read(one)
    assert "sensitive, hidden" in words(owner.read(AT))
    owner.done(one, {"keep": ["false", "true"], "value": "", "type": "file", "sensitive": "true"})
    assert boss.get(f"{AT}/environment/password").json["type"] == "file"
    refused = owner.send(
        one, {"keep": ["false", "true"], "value": "", "type": "file", "sensitive": "false"}
    )
    assert refused.status_code == 422
    owner.done(one, {"keep": "false", "value": "x", "type": "string", "sensitive": "false"})
    assert boss.get(f"{AT}/environment/password").json["value"] == "x"


@one_database
def test_a_secret_that_a_log_cannot_hide_is_said_to_be_one(owner: Visitor) -> None:
    owner.done(AT, {"name": "pin", "value": "12", "kind": "terraform", "sensitive": "true"})

    assert "too short to be hidden in a log" in words(owner.read(AT))


@one_database
def test_a_hostile_value_does_no_harm(owner: Visitor, boss: Caller) -> None:
    evil = '</textarea><script>alert(1)</script>"\u202e\x07'
    boss.made(AT, {"name": "x", "value": evil})
    [made] = boss.get(AT).json["items"]

    assert "<script>alert" not in owner.read(AT) + owner.read(f"{AT}/{made['id']}")
    assert "\u202e" not in owner.read(AT)


@one_database
def test_a_variable_that_cannot_be_set_is_refused(owner: Visitor) -> None:
    for fields, status in (
        ({"name": "HOME", "value": "x", "kind": "environment"}, 422),
        ({"name": "", "value": "x", "kind": "terraform"}, 422),
        ({"name": "n", "value": "three", "kind": "terraform", "type": "number"}, 422),
        ({"name": "n", "value": "x", "kind": "all"}, 422),
    ):
        assert owner.send(AT, fields).status_code == status, fields
    assert owner.get(f"{AT}/unknown").status_code == 404


@one_database
def test_every_role_sees_the_buttons_that_it_may_use(
    visitor_of: Callable[..., Visitor], boss: Caller, sets: None
) -> None:
    guest, manager = visitor_of("guest"), visitor_of("manager")

    for text in ("Set the variable", "Override", "Change"):
        assert text in manager.read(AT)
        assert text not in guest.read(AT)
    assert guest.send(AT, {"name": "x", "value": "y", "kind": "terraform"}).status_code == 403
    assert visitor_of(None).get(AT).status_code == 404
