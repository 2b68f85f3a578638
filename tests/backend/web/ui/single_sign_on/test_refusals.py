"""Whom the server does not let in, though an OpenID provider, or somebody else, says so."""

from __future__ import annotations

import time

import pytest
from flask import Flask
from sqlalchemy import text

from backend.people.oidc import provider as asked_provider
from backend.transactions import Installation
from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.openid import CLIENT_ID, Provider
from tests.support.people import new_person
from tests.support.single_sign_on import (
    BACK,
    BEGIN,
    back,
    come_back,
    last_refusal,
    roles,
    said,
    saying,
    settings_of,
    without,
)
from tests.support.visitor import Visitor

pytestmark = one_database


def test_nobody_takes_over_an_account_by_calling_himself_like_it(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    taken = new_person(boss, "visitor", is_admin=True)
    for name in ("visitor", "Visitor@evil.example.com"):
        provider.claims = {"sub": "thief", "preferred_username": name}
        answer = come_back(browser, provider)
        assert "There is an account visitor here already" in said(answer, 401, "oidc-name-taken")

    entry = last_refusal(boss)
    assert (entry["object"], entry["detail"]["why"]) == (taken.id, "oidc-name-taken")
    assert boss.get("/users/visitor").json["identity"] is None


def test_an_id_token_for_something_else_signs_nobody_in(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    lies = (
        saying(nonce="another"),
        without("nonce"),
        saying(aud="another"),
        saying(aud=[CLIENT_ID, "another"]),  # without azp
        saying(aud=[CLIENT_ID, "another"], azp="another"),
        without("aud"),
        saying(iss="https://elsewhere.example.com"),
        without("iss"),
        without("sub"),
        saying(sub=7),
        saying(sub=""),
        without("exp"),
        saying(at_hash="bm90IGl0cyBoYXNo"),
    )
    for lie in lies:
        provider.change = lie
        said(come_back(browser, provider), 401, "oidc-token")

    assert boss.get("/users/ann").status_code == 404
    assert last_refusal(boss)["object"] == "unknown"


def test_a_token_of_another_time_speaks_of_clocks(browser: Visitor, provider: Provider) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 61}, {"iat": now + 120}, {"nbf": now + 120}):
        provider.change = saying(**claims)
        assert "clocks" in said(come_back(browser, provider), 401, "oidc-clock")


def test_clocks_may_differ_by_a_minute(browser: Visitor, provider: Provider) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 40}, {"iat": now + 50}):
        provider.change = saying(**claims)
        assert come_back(browser, provider).status_code == 303


def test_a_forged_signature_signs_nobody_in(browser: Visitor, provider: Provider) -> None:
    forgers = (
        provider.unsigned,
        provider.signed_with_the_public_key,
        provider.signed_by_somebody_else,
        lambda _: "",
        lambda _: "a.b.c",
        lambda _: "." * 9,
    )
    for forger in forgers:
        provider.sign = forger
        said(come_back(browser, provider), 401, "oidc-token")


def test_new_keys_of_the_provider_are_fetched_once(browser: Visitor, provider: Provider) -> None:
    assert come_back(browser, provider).status_code == 303
    provider.rotate()

    assert come_back(browser, provider).status_code == 303
    assert come_back(browser, provider).status_code == 303

    assert provider.asked.count("/keys") == 2
    provider.published = []
    provider.rotate()
    provider.published = []
    said(come_back(browser, provider), 401, "oidc-token")


def test_who_did_not_begin_here_is_not_signed_in(
    app: Flask, browser: Visitor, provider: Provider, boss: Caller
) -> None:
    """Such as somebody whom an attacker sends to the end of a sign-in of his own."""
    address = back(browser, provider)
    victim = Visitor(app)

    said(victim.get(address), 401, "oidc-not-begun")
    victim.get(BEGIN)
    said(victim.get(address), 401, "oidc-not-begun")
    cookie = browser.client.get_cookie("stateroom_begun")
    assert cookie is not None
    ends, *rest = cookie.value.split(".")
    for forged in (f"{int(ends) + 9}.{'.'.join(rest)}", cookie.value[:-1] + "x", "", "...", "é"):
        victim.client.set_cookie("stateroom_begun", forged)
        said(victim.get(address), 401, "oidc-not-begun")

    assert last_refusal(boss)["detail"]["why"] == "oidc-not-begun"
    assert browser.get(address).status_code == 303


def test_a_sign_in_ends_once_and_within_ten_minutes(
    browser: Visitor, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = back(browser, provider)
    cookie = browser.client.get_cookie("stateroom_begun")
    assert cookie is not None
    assert browser.get(address).status_code == 303
    assert browser.client.get_cookie("stateroom_begun") is None
    browser.client.set_cookie("stateroom_begun", cookie.value)
    said(browser.get(address), 401, "oidc-code-refused")

    address = back(browser, provider)
    later = time.time() + 601
    with monkeypatch.context() as patched:
        patched.setattr("backend.people.oidc.begun.time.time", lambda: later)
        said(browser.get(address), 401, "oidc-not-begun")


def test_a_refusal_of_the_provider_is_told_in_words(browser: Visitor, provider: Provider) -> None:
    hostile = "<script>alert(1)</script>\u202e\x1b[31m"
    provider.answer = lambda back: {
        "error": "access_denied", "error_description": hostile, "state": back["state"],
    }  # fmt: skip

    page = come_back(browser, provider).get_data(as_text=True)

    assert "signed nobody in" in page
    assert "<script>alert" not in page
    assert not {"\u202e", "\x1b"} & {*page}
    provider.answer = lambda back: back | {"iss": "https://elsewhere.example.com"}
    said(come_back(browser, provider), 401, "oidc-denied")


def test_a_provider_that_is_down_is_told_in_words(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    provider.is_down = True
    said(browser.get(BEGIN), 503, "oidc-unavailable")
    provider.is_down = False
    address = back(browser, provider)
    provider.is_down = True

    said(browser.get(address), 503, "oidc-unavailable")

    assert last_refusal(boss)["detail"]["why"] == "oidc-unavailable"
    provider.is_down = False
    assert come_back(browser, provider).status_code == 303


def test_a_provider_that_says_it_is_another_one_is_not_asked(
    browser: Visitor, provider: Provider
) -> None:
    provider.more = {"issuer": "https://elsewhere.example.com"}
    said(browser.get(BEGIN), 503, "oidc-unavailable")
    asked_provider._kept.clear()
    provider.more = {"token_endpoint": "file:///etc/passwd"}
    said(browser.get(BEGIN), 503, "oidc-unavailable")


def test_a_disabled_person_is_not_let_in(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    come_back(browser, provider)
    boss.patch("/users/ann", {"disabled": True})
    provider.claims["groups"] = ["devs"]

    assert browser.get("/account").status_code == 303
    said(come_back(browser, provider), 401, "account-disabled")
    assert roles(boss) == {}


@settings_of(oidc_create_users=False)
def test_new_people_are_let_in_only_if_the_installation_says_so(
    browser: Visitor, provider: Provider
) -> None:
    said(come_back(browser, provider), 401, "oidc-unknown-person")


@settings_of(oidc_client_secret="")
def test_a_provider_that_wants_a_secret_refuses_who_has_none(
    browser: Visitor, provider: Provider
) -> None:
    said(come_back(browser, provider), 401, "oidc-code-refused")


def test_sign_ins_that_fail_are_throttled(app: Flask, browser: Visitor, provider: Provider) -> None:
    answers = [browser.get(f"{BACK}?code=x&state=y") for _ in range(21)]

    assert [one.status_code for one in answers] == [401] * 20 + [429]
    assert "Too many sign-ins failed" in said(answers[-1], 429, "too-many-attempts")


def test_a_row_that_was_given_an_identity_in_the_database_opens_nothing(
    browser: Visitor, provider: Provider, boss: Caller, here: Installation
) -> None:
    new_person(boss, "lord", is_admin=True)
    with here.database.engine.begin() as connection:
        stolen = {"identity": f"{provider.url} ann-1"}
        connection.execute(
            text("UPDATE users SET identity = :identity WHERE name = 'lord'"), stolen
        )

    said(come_back(browser, provider), 401, "login-refused")
