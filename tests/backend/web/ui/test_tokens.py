"""The pages of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

pytestmark = one_database
OF_SHOP = "/projects/shop/tokens"
SECRET = re.compile(r"stateroom_[0-9A-Za-z_]{20,}")
CI: dict[str, Any] = {
    "name": "ci",
    "scopes": ["runs:read", "outputs:read"],
    "expires_in_days": "30",
}


@pytest.mark.parametrize("at", ["/tokens", OF_SHOP])
def test_an_issued_token_works_and_its_secret_is_shown_once(
    app: Flask, owner: Visitor, at: str
) -> None:
    issued = owner.send(at, CI)

    page = issued.get_data(as_text=True)
    [secret] = {*SECRET.findall(page)}
    assert "curl -H" in page
    assert "export STATEROOM_TOKEN=" in page
    assert secret not in str(issued.headers)
    caller = Caller(app.test_client(), secret)
    assert caller.get("/projects/shop/runs").status_code == 200
    assert caller.get("/projects/shop/keys").status_code == 403
    assert secret not in owner.read(at)
    [where] = re.findall(rf'href="({at}/tok_[^"]+)"', owner.read(at))
    assert secret not in owner.read(where)
    assert "runs:read" in owner.read(where)


def test_a_token_of_ones_own_opens_one_project_if_wished(
    app: Flask, owner: Visitor, boss: Caller
) -> None:
    boss.made("/projects", {"name": "other"})
    boss.put("/projects/other/members/visitor-owner-false", {"role": "owner"})

    issued = owner.send("/tokens", CI | {"project": "shop"})

    [secret] = {*SECRET.findall(issued.get_data(as_text=True))}
    caller = Caller(app.test_client(), secret)
    assert caller.get("/projects/shop").status_code == 200
    assert caller.get("/projects/other").status_code == 404


def test_revoking_names_what_ends_with_it(app: Flask, owner: Visitor, app_workspace: str) -> None:
    scopes = ["admin", "state:read", "state:write"]
    issued = owner.send("/tokens", {"name": "parent", "scopes": scopes, "expires_in_days": ""})
    [secret] = {*SECRET.findall(issued.get_data(as_text=True))}
    parent = Caller(app.test_client(), secret)
    parent.made("/projects/shop/tokens", {"name": "the-child", "scopes": ["runs:read"]})
    parent.made(f"{app_workspace}/aliases", {"name": "the-alias", "access": "read-only"})
    [where] = re.findall(r'href="(/tokens/tok_[^"]+)">parent', owner.read("/tokens"))

    page = words(owner.read(where))
    assert "1 token: the-child" in page
    assert "the-alias" in page
    assert owner.done(f"{where}/revoke") == "/tokens"

    assert parent.get("/projects/shop").status_code == 401
    assert "revoked" in owner.read("/tokens")
    assert "Revoke the token" not in owner.read(where)


def test_a_token_needs_a_scope_and_a_name(owner: Visitor) -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"scopes": []},
        {"name": ""},
        {"scopes": ["everything"]},
        {"expires_in_days": "0"},
    )
    for wrong in wrongs:
        answer = owner.send("/tokens", CI | wrong)
        assert answer.status_code == 422, wrong
    assert "No tokens yet" in owner.read("/tokens")


def test_sessions_are_no_tokens_of_the_list(owner: Visitor) -> None:
    assert "No tokens yet" in owner.read("/tokens")


def test_a_hostile_name_is_harmless(owner: Visitor) -> None:
    name = '"><script>x</script>\N{RIGHT-TO-LEFT OVERRIDE}'
    owner.send("/tokens", CI | {"name": name})

    page = owner.read("/tokens")

    assert "<script>x" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page


def test_tokens_of_a_project_are_for_its_owners(
    visitor_of: Callable[..., Visitor], owner: Visitor
) -> None:
    owner.send(OF_SHOP, CI)
    [where] = re.findall(rf'href="({OF_SHOP}/tok_[^"]+)"', owner.read(OF_SHOP))
    for role, status in (("manager", 403), ("guest", 403), (None, 404)):
        visitor = visitor_of(role)
        for path in (OF_SHOP, where):
            assert visitor.get(path).status_code == status, (role, path)
        for path in (OF_SHOP, f"{where}/revoke"):
            assert visitor.send(path, CI).status_code == status, (role, path)


def test_nobody_sees_or_revokes_the_tokens_of_others(
    visitor_of: Callable[..., Visitor], owner: Visitor, administrator: Visitor
) -> None:
    owner.send("/tokens", CI)
    [where] = re.findall(r'href="(/tokens/tok_[^"]+)"', owner.read("/tokens"))
    guest = visitor_of("guest")

    assert guest.get(where).status_code == 404
    assert guest.send(f"{where}/revoke").status_code == 404
    assert guest.get("/tokens?of=everybody").status_code == 403
    assert "No tokens yet" in administrator.read("/tokens")
    assert where in administrator.read("/tokens?of=everybody")


def test_long_lists_go_on_with_older_tokens(owner: Visitor, boss: Caller) -> None:
    for number in range(52):
        boss.made(OF_SHOP, {"name": f"token-{number}", "scopes": ["runs:read"]})

    first = owner.read(OF_SHOP)
    assert "token-51" in first
    [more] = re.findall(rf'href="({OF_SHOP}\?cursor=[^"]+)"', first)
    assert "token-0<" in owner.read(more)


def test_the_pages_take_few_statements(owner: Visitor) -> None:
    owner.send(OF_SHOP, CI)
    [where] = re.findall(rf'href="({OF_SHOP}/tok_[^"]+)"', owner.read(OF_SHOP))

    for path in ("/tokens", OF_SHOP, where):
        read_within(owner, path)
