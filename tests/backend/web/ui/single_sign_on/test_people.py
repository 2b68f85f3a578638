"""Signing in with an OpenID provider: who people are, and what groups give them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask

from backend.config import Settings
from backend.people.oidc import provider as asked_provider
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.openid import CLIENT_ID, Provider
from tests.support.people import PASSWORD, new_person
from tests.support.single_sign_on import (
    BACK,
    BEGIN,
    come_back,
    roles,
    said,
    settings_of,
)
from tests.support.visitor import Visitor, words

pytestmark = one_database


def test_a_person_signs_in_and_gets_back_to_the_page(browser: Visitor, provider: Provider) -> None:
    provider.claims["groups"] = ["devs", "of no importance"]
    assert "Sign in with Example ID" in browser.read("/sign-in?next=/projects/shop")

    answer = come_back(browser, provider, f"{BEGIN}?next=/projects/shop")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/projects/shop")
    assert "shop" in words(browser.read("/projects/shop"))
    assert ">ann</" in browser.read("/account")
    assert provider.methods == ["basic"]


def test_the_provider_is_asked_as_the_specification_says(
    browser: Visitor, provider: Provider, settings: Settings
) -> None:
    gone = browser.get(BEGIN)

    there = urlsplit(gone.headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(there.query).items()}
    assert there.path == "/authorize"
    assert (
        asked.items()
        >= {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "scope": "openid profile email",
            "redirect_uri": f"{settings.url}{BACK}",
            "code_challenge_method": "S256",
        }.items()
    )
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    (cookie,) = (one for one in gone.headers.getlist("Set-Cookie") if "_begun" in one)
    assert {"HttpOnly", "SameSite=Lax", "Max-Age=600"} <= {p.strip() for p in cookie.split(";")}
    assert not {asked["state"], asked["nonce"]} & {*cookie.replace(".", ";").split(";")}


def test_groups_give_roles_and_take_them_away(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    steps: tuple[tuple[Any, dict[str, str]], ...] = (
        (["devs", "ops"], {"ann": "manager"}),
        (["ops"], {"ann": "guest"}),
        ("cn=a,dc=b", {"ann": "task_runner"}),
        ([], {}),
        (["devs"], {"ann": "manager"}),
    )
    for groups, expected in steps:
        provider.claims["groups"] = groups
        assert come_back(browser, provider).status_code == 303
        assert roles(boss) == expected

    entries = boss.get("/audit", action="member.").json["items"]
    assert [(one["action"], one["detail"]["role"]) for one in reversed(entries)] == [
        ("member.put", "manager"),
        ("member.put", "guest"),
        ("member.put", "task_runner"),
        ("member.remove", "task_runner"),
        ("member.put", "manager"),
    ]
    assert all(one["detail"]["by_group"] for one in entries)


def test_pages_say_who_signs_in_with_the_provider_and_whose_role_is_of_a_group(
    app: Flask, browser: Visitor, provider: Provider, boss: Caller
) -> None:
    provider.claims["groups"] = ["devs"]
    come_back(browser, provider)
    admin = Visitor(app, new_person(boss, "lord", is_admin=True).token)

    assert f"yes, with the OpenID provider: {provider.url} ann-1" in words(admin.read("/users/ann"))
    assert "no password" not in words(admin.read("/users"))
    assert "ann by group" in words(admin.read("/projects/shop/members"))


def test_a_role_given_by_hand_stays_whatever_the_groups_say(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    provider.claims["groups"] = ["devs"]
    come_back(browser, provider)
    assert boss.put("/projects/shop/members/ann", {"role": "manager"}).json["by_group"] is False

    for groups in (["ops"], []):
        provider.claims["groups"] = groups
        come_back(browser, provider)
        assert roles(boss) == {"ann": "manager"}


def test_a_group_makes_an_administrator_for_as_long_as_somebody_is_in_it(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    for groups, is_admin in ((["lords"], True), (["lords"], True), ([], False)):
        provider.claims["groups"] = groups
        come_back(browser, provider)
        assert boss.get("/users/ann").json["is_admin"] is is_admin

    boss.patch("/users/ann", {"is_admin": True})
    come_back(browser, provider)
    assert boss.get("/users/ann").json["is_admin"]


def test_who_is_in_no_group_is_let_in_and_sees_nothing(
    browser: Visitor, provider: Provider
) -> None:
    come_back(browser, provider)

    assert "shop" not in words(browser.read("/projects"))
    assert browser.get("/projects/shop").status_code == 404


def test_groups_that_the_id_token_lacks_are_asked_for(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    del provider.claims["groups"]
    provider.told = {"groups": ["devs"]}

    come_back(browser, provider)

    assert roles(boss) == {"ann": "manager"}
    provider.told = {"groups": ["devs"], "sub": "somebody else"}
    said(come_back(browser, provider), 401, "oidc-token")


def test_a_person_is_the_same_one_by_the_subject_and_not_by_the_name(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    come_back(browser, provider)
    first = boss.get("/users/ann").json
    assert first["identity"] == f"{provider.url} ann-1"
    assert first["has_password"] is False

    provider.claims["preferred_username"] = "ann.married"
    come_back(browser, provider)

    assert boss.get("/users/ann").json["id"] == first["id"]
    assert boss.get("/users/ann.married").status_code == 404


def test_a_name_is_made_of_the_claims_that_there_are(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    given = [
        ({"sub": "1", "preferred_username": "Bob Ünal"}, "bob-nal"),
        ({"sub": "2", "email": "Carol.Smith@example.com"}, "carol.smith"),
        ({"sub": "3", "preferred_username": "", "email": "dan@example.com"}, "dan"),
    ]
    for claims, name in given:
        provider.claims = claims
        assert come_back(browser, provider).status_code == 303
        assert boss.get(f"/users/{name}").status_code == 200
    for claims in ({"sub": "4"}, {"sub": "5", "preferred_username": "Ü"}, {"sub": "6",
                   "preferred_username": "me"}):  # fmt: skip
        provider.claims = claims
        said(come_back(browser, provider), 401, "oidc-no-name")


def test_the_secret_is_sent_in_the_form_to_who_wants_it_there(
    browser: Visitor, provider: Provider
) -> None:
    provider.more = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}

    assert come_back(browser, provider).status_code == 303
    assert provider.methods == ["post"]


def test_who_signs_out_is_offered_to_sign_out_of_the_provider_too(
    browser: Visitor, provider: Provider
) -> None:
    come_back(browser, provider)

    there = browser.done("/sign-out")

    assert f'href="{provider.url}/leave?client_id={CLIENT_ID}"' in browser.read(there)
    assert browser.get("/account").status_code == 303
    asked_provider._kept.clear()
    provider.is_down = True
    assert "too</a>" not in browser.read(there)


def test_an_empty_installation_with_a_provider_forces_nobody_to_make_an_administrator(
    app: Flask, provider: Provider
) -> None:
    browser = Visitor(app)

    page = browser.read("/sign-in")

    assert "Sign in with Example ID" in page
    assert 'href="/first"' in page
    assert browser.get("/first").status_code == 200
    provider.claims["groups"] = ["lords"]
    assert come_back(browser, provider).status_code == 303
    assert browser.get("/first").status_code == 303


@settings_of(oidc_issuer="")
def test_without_a_provider_there_is_none_of_it(browser: Visitor) -> None:
    assert "/sign-in/oidc" not in browser.get("/sign-in", follow_redirects=True).text
    for path in (BEGIN, BACK):
        refused(browser.client.get(path), 404, "no-provider")


def test_a_password_signs_in_beside_the_provider(browser: Visitor, boss: Caller) -> None:
    new_person(boss, "local")
    assert browser.done("/sign-in", {"name": "local", "password": PASSWORD}) == "/"
