from __future__ import annotations

from typing import Any

import pytest

from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.people import new_person


def test_a_member_sees_the_projects_he_is_in_and_no_other(
    boss: Caller, shop: str, stranger: Caller
) -> None:
    ada = new_person(boss, shop="guest")

    assert [p["name"] for p in ada.get("/projects").json["items"]] == ["shop"]
    assert ada.get(shop).status_code == 200
    refused(ada.get("/projects/elsewhere"), 404, "not-found")
    assert ada.get("/whoami").json["roles"] == {"shop": "guest"}
    assert ada.get("/whoami").json["user"]["name"] == "ada"


def test_an_owner_names_members_and_changes_what_they_are(boss: Caller, shop: str) -> None:
    owner = new_person(boss, "owner", shop="owner")
    ada = new_person(boss)

    first = owner.put(f"{shop}/members/ada", {"role": "guest"})
    refused(ada.post(f"{shop}/runs"), 403, "scope-missing")
    owner.put(f"{shop}/members/{ada.id}", {"role": "task_runner"})

    assert first.json["role"] == "guest"
    assert ada.made(f"{shop}/runs", {"operation": "plan"})["created_by"] == "ada"
    listed = owner.get(f"{shop}/members").json["items"]
    assert {m["name"]: m["role"] for m in listed} == {"owner": "owner", "ada": "task_runner"}


def test_who_is_taken_out_finds_nothing_any_more(boss: Caller, shop: str) -> None:
    ada = new_person(boss, shop="manager")
    token = ada.with_token("admin")

    assert boss.delete(f"{shop}/members/ada").status_code == 204

    for gone in (ada, token):
        refused(gone.get(shop), 404, "not-found")
        at_state = gone.call("GET", "/api/terraform/state/shop/app")
        refused(at_state, 403, "forbidden")
    refused(boss.delete(f"{shop}/members/ada"), 404, "not-found")


def test_everybody_may_leave_and_only_owners_send_others_away(boss: Caller, shop: str) -> None:
    ada = new_person(boss, shop="manager")
    new_person(boss, "eve", shop="guest")

    refused(ada.delete(f"{shop}/members/eve"), 403, "scope-missing")
    refused(ada.put(f"{shop}/members/eve", {"role": "owner"}), 403, "scope-missing")
    refused(ada.put(f"{shop}/members/ada", {"role": "owner"}), 403, "scope-missing")
    assert ada.delete(f"{shop}/members/ada").status_code == 204


@one_database
def test_a_narrow_token_does_not_take_its_owner_out(boss: Caller, shop: str) -> None:
    narrow = new_person(boss, shop="manager").with_token("runs:read")

    refused(narrow.delete(f"{shop}/members/ada"), 403, "scope-missing")


@one_database
def test_an_owner_whose_token_is_narrow_names_no_members(boss: Caller, shop: str) -> None:
    narrow = new_person(boss, shop="owner").with_token("runs:read", "state:write")

    refused(narrow.put(f"{shop}/members/ada", {"role": "guest"}), 403, "scope-missing")


@one_database
def test_a_stranger_finds_no_members(boss: Caller, shop: str, stranger: Caller) -> None:
    eve = new_person(boss, "eve", elsewhere="owner")

    for somebody in (stranger, eve):
        refused(somebody.get(f"{shop}/members"), 404, "not-found")
        refused(somebody.put(f"{shop}/members/eve", {"role": "owner"}), 404, "not-found")
        refused(somebody.delete(f"{shop}/members/eve"), 404, "not-found")


@one_database
def test_a_missing_user_or_member_is_not_found(boss: Caller, shop: str) -> None:
    refused(boss.put(f"{shop}/members/nobody", {"role": "guest"}), 404, "not-found")
    refused(boss.delete(f"{shop}/members/nobody"), 404, "not-found")


@one_database
@pytest.mark.parametrize("body", [{}, {"role": "king"}, {"role": None}, {"role": "guest", "x": 1}])
def test_a_wrong_membership_is_refused(boss: Caller, shop: str, body: dict[str, Any]) -> None:
    boss.made("/users", {"name": "ada"})

    refused(boss.put(f"{shop}/members/ada", body), 422, "invalid-request")


def test_a_project_is_deleted_with_its_memberships(boss: Caller) -> None:
    boss.made("/projects", {"name": "empty"})
    ada = new_person(boss, empty="owner")

    assert boss.delete("/projects/empty").status_code == 204

    assert ada.get("/whoami").json["roles"] == {}


def test_what_members_are_is_in_the_projects_audit_log(boss: Caller, shop: str) -> None:
    ada = new_person(boss, shop="guest")
    boss.put(f"{shop}/members/ada", {"role": "guest"})  # it was so already
    boss.put(f"{shop}/members/ada", {"role": "owner"})
    boss.delete(f"{shop}/members/ada")

    log = boss.get(f"{shop}/audit", object=ada.id).json["items"]

    assert [(e["action"], e["detail"].get("before"), e["detail"]["role"]) for e in log] == [
        ("member.remove", None, "owner"),
        ("member.put", "guest", "owner"),
        ("member.put", None, "guest"),
    ]
