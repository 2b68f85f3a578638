"""Signing in with an OpenID provider, which may also lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from backend.config import Settings
from backend.people.oidc import provider as asked_provider
from backend.transactions import Installation
from tests.support.caller import Caller, refused
from tests.support.databases import one_database
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, Claims, Provider
from tests.support.people import PASSWORD, new_person
from tests.support.visitor import Visitor, words

pytestmark = one_database
BEGIN, BACK = "/sign-in/oidc", "/sign-in/oidc/back"
ROLES = "devs=shop:manager; ops=shop:guest\nlords=admin;cn=a,dc=b=shop:task_runner"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setattr(asked_provider, "_kept", {})
    monkeypatch.setattr(asked_provider, "PAUSE_SECONDS", 0.0)
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def settings(settings: Settings, provider: Provider, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(
        update={
            "oidc_issuer": provider.url,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_name": "Example ID",
            "oidc_roles": ROLES,
            **getattr(request, "param", {}),
        }
    )


def settings_of(**changes: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", [changes], indirect=True, ids=[""])


@pytest.fixture
def browser(app: Flask, shop: str) -> Visitor:
    return Visitor(app)


def come_back(browser: Visitor, provider: Provider, begin: str = BEGIN) -> TestResponse:
    """Go to the provider, and come back with what it says."""
    return browser.get(back(browser, provider, begin))


def back(browser: Visitor, provider: Provider, begin: str = BEGIN) -> str:
    gone = browser.get(begin)
    assert gone.status_code == 303, gone.get_data(as_text=True)
    return provider.send_back(gone.headers["Location"])


def roles(boss: Caller) -> dict[str, str]:
    return {one["name"]: one["role"] for one in boss.get("/projects/shop/members").json["items"]}


def said(answer: TestResponse, status: int, code: str) -> str:
    """What a refusal says; nobody is signed in by it."""
    page = answer.get_data(as_text=True)
    assert (answer.status_code, f"<code>{code}</code>" in page) == (status, True), words(page)
    assert "stateroom_session" not in str(answer.headers.getlist("Set-Cookie"))
    return words(page)


def last_refusal(boss: Caller) -> dict[str, Any]:
    found: dict[str, Any] = boss.get("/audit", action="login.refused").json["items"][0]
    return found


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


def _with(**claims: Any) -> Callable[[Claims], Claims]:
    return lambda given: given | claims


def _without(name: str) -> Callable[[Claims], Claims]:
    return lambda given: {claim: value for claim, value in given.items() if claim != name}


def test_an_id_token_for_something_else_signs_nobody_in(
    browser: Visitor, provider: Provider, boss: Caller
) -> None:
    lies = (
        _with(nonce="another"),
        _without("nonce"),
        _with(aud="another"),
        _with(aud=[CLIENT_ID, "another"]),  # without azp
        _with(aud=[CLIENT_ID, "another"], azp="another"),
        _without("aud"),
        _with(iss="https://elsewhere.example.com"),
        _without("iss"),
        _without("sub"),
        _with(sub=7),
        _with(sub=""),
        _without("exp"),
        _with(at_hash="bm90IGl0cyBoYXNo"),
    )
    for lie in lies:
        provider.change = lie
        said(come_back(browser, provider), 401, "oidc-token")

    assert boss.get("/users/ann").status_code == 404
    assert last_refusal(boss)["object"] == "unknown"


def test_a_token_of_another_time_speaks_of_clocks(browser: Visitor, provider: Provider) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 61}, {"iat": now + 120}, {"nbf": now + 120}):
        provider.change = _with(**claims)
        assert "clocks" in said(come_back(browser, provider), 401, "oidc-clock")


def test_clocks_may_differ_by_a_minute(browser: Visitor, provider: Provider) -> None:
    now = int(time.time())
    for claims in ({"exp": now - 40}, {"iat": now + 50}):
        provider.change = _with(**claims)
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


def test_the_secret_is_sent_in_the_form_to_who_wants_it_there(
    browser: Visitor, provider: Provider
) -> None:
    provider.more = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}

    assert come_back(browser, provider).status_code == 303
    assert provider.methods == ["post"]


def test_sign_ins_that_fail_are_throttled(app: Flask, browser: Visitor, provider: Provider) -> None:
    answers = [browser.get(f"{BACK}?code=x&state=y") for _ in range(21)]

    assert [one.status_code for one in answers] == [401] * 20 + [429]
    assert "Too many sign-ins failed" in said(answers[-1], 429, "too-many-attempts")


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
