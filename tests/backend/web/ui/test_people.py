"""The pages of members and users."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.people import PASSWORD
from tests.support.visitor import Visitor, words

pytestmark = one_database
MEMBERS = "/projects/shop/members"
PASSWORDS = re.compile(r"[0-9a-z]{5}(?:-[0-9a-z]{5}){3}")


def test_a_colleague_gets_access_in_two_forms(
    app: Flask, administrator: Visitor, nobody: Visitor
) -> None:
    created = administrator.send("/users", {"name": "ada", "is_admin": "false"})

    page = created.get_data(as_text=True)
    [password] = {*PASSWORDS.findall(page)}
    administrator.done(MEMBERS, {"user": "ada", "role": "task_runner"})
    nobody.done("/sign-in", {"name": "ada", "password": password, "next": "/projects/shop"})
    assert "shop" in nobody.read("/projects/shop")


def test_a_generated_password_is_shown_once_and_kept_nowhere(administrator: Visitor) -> None:
    created = administrator.send("/users", {"name": "ada"})
    [password] = {*PASSWORDS.findall(created.get_data(as_text=True))}

    assert password not in str(created.headers)
    for path in ("/users", "/users/ada", "/audit", "/"):
        assert password not in administrator.get(path).get_data(as_text=True)
    again = administrator.send("/users/ada/password")
    assert password not in {*PASSWORDS.findall(again.get_data(as_text=True))}


def test_a_chosen_password_is_not_shown_again(administrator: Visitor, nobody: Visitor) -> None:
    created = administrator.send("/users", {"name": "ada", "password": PASSWORD})

    assert PASSWORD not in created.get_data(as_text=True)
    nobody.done("/sign-in", {"name": "ada", "password": PASSWORD})


@pytest.mark.parametrize("wrong", [{"name": ""}, {"name": "A b"}, {"name": "ada", "password": "x"}])
def test_a_wrong_user_is_refused(administrator: Visitor, wrong: dict[str, str]) -> None:
    assert administrator.send("/users", wrong).status_code == 422
    assert "ada" not in words(administrator.read("/users"))


def test_a_user_is_disabled_promoted_and_deleted(
    administrator: Visitor, visitor_of: Callable[..., Visitor]
) -> None:
    guest = visitor_of("guest")
    at = "/users/visitor-guest-false"

    administrator.done(f"{at}/access", {"disabled": "true"})
    assert guest.get("/account").status_code == 303
    administrator.done(f"{at}/access", {"disabled": "false", "is_admin": "true"})
    page = administrator.read(at)
    assert "administrator" in page
    assert "shop</a> as guest" in page
    refused = administrator.send(f"{at}/delete", {"typed": "somebody"})
    assert (refused.status_code, "typed-name-wrong" in refused.get_data(as_text=True)) == (
        422,
        True,
    )
    administrator.done(f"{at}/delete", {"typed": "visitor-guest-false"})
    assert administrator.get(at).status_code == 404


def test_one_does_not_lock_oneself_out_by_a_button(administrator: Visitor) -> None:
    page = administrator.read("/users/visitor-owner-true")

    assert "Set a password" in page
    assert "Delete the user" not in page
    assert "Disable" not in page


def test_a_role_is_changed_and_taken_away(
    owner: Visitor, visitor_of: Callable[..., Visitor]
) -> None:
    guest = visitor_of("guest")
    owner.done(MEMBERS, {"user": "visitor-guest-false", "role": "manager"})
    assert guest.get("/projects/shop/keys").status_code == 200

    owner.done(f"{MEMBERS}/visitor-guest-false/remove")

    assert guest.get(MEMBERS).status_code == 404


def test_who_is_no_user_becomes_no_member(owner: Visitor) -> None:
    answer = owner.send(MEMBERS, {"user": "nobody-here", "role": "guest"})

    assert answer.status_code == 404
    assert "There is no user 'nobody-here'" in words(answer.get_data(as_text=True))


def test_a_member_leaves(visitor_of: Callable[..., Visitor]) -> None:
    guest = visitor_of("guest")

    assert guest.done(f"{MEMBERS}/visitor-guest-false/remove") == "/projects"
    assert "no longer a member of shop" in guest.read("/projects")


def test_only_owners_change_members(visitor_of: Callable[..., Visitor]) -> None:
    owner = visitor_of("owner")
    for role in ("manager", "task_runner", "guest"):
        visitor = visitor_of(role)
        page = visitor.read(MEMBERS)
        assert "Add a member" not in page
        assert f'action="{MEMBERS}"' not in page
        assert "visitor-owner-false/remove" not in page
        assert visitor.send(MEMBERS, {"user": "x", "role": "owner"}).status_code == 403
        assert visitor.send(f"{MEMBERS}/visitor-owner-false/remove").status_code == 403
    assert "Add a member" in owner.read(MEMBERS)
    stranger = visitor_of(None)
    assert stranger.get(MEMBERS).status_code == 404
    assert stranger.send(MEMBERS, {"user": "x", "role": "owner"}).status_code == 404


def test_users_are_for_administrators(visitor_of: Callable[..., Visitor]) -> None:
    for role in ("owner", "guest", None):
        visitor = visitor_of(role)
        for path in ("/users", "/users/visitor-owner-false"):
            assert visitor.get(path).status_code == 403, (role, path)
        for path in ("", "/x/password", "/x/access", "/x/delete"):
            fields = {"name": "x", "typed": "x", "disabled": "true"}
            assert visitor.send(f"/users{path}", fields).status_code == 403, (role, path)


def test_the_pages_take_few_statements(administrator: Visitor, boss: Caller) -> None:
    for number in range(4):
        boss.made("/users", {"name": f"user-{number}"})
        boss.put(f"{MEMBERS}/user-{number}", {"role": "guest"})

    for path in (MEMBERS, "/users", "/users/user-1"):
        read_within(administrator, path)
