"""Signing in and out, sessions, and the tokens of forms."""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Flask

from backend.config import Settings
from tests.support.api import token_of
from tests.support.caller import Caller, refused
from tests.support.people import PASSWORD, new_person
from tests.support.visitor import FORM_TOKEN, Visitor, words


def test_who_has_not_signed_in_is_asked_to_and_gets_back(nobody: Visitor, owner: Visitor) -> None:
    asked = nobody.get("/projects/shop?x=1")

    assert (asked.status_code, asked.headers["Location"]) == (
        303,
        "/sign-in?next=%2Fprojects%2Fshop%3Fx%3D1",
    )
    there = nobody.done(
        "/sign-in",
        {"name": "visitor-owner-false", "password": PASSWORD, "next": "/projects/shop?x=1"},
    )
    assert there == "/projects/shop?x=1"
    assert "shop" in nobody.read(there)


def test_a_wrong_password_is_refused_and_signs_nobody_in(nobody: Visitor, owner: Visitor) -> None:
    answer = nobody.send("/sign-in", {"name": "visitor-owner-false", "password": "wrong"})

    assert answer.status_code == 401
    assert "the name or the secret is wrong" in words(answer.get_data(as_text=True))
    assert nobody.get("/account").status_code == 303


def test_the_page_after_signing_in_is_one_of_ours(nobody: Visitor, owner: Visitor) -> None:
    for elsewhere in ("https://example.com/", "//example.com", "/\\example.com", "/sign-out", "x"):
        there = nobody.done(
            "/sign-in",
            {"name": "visitor-owner-false", "password": PASSWORD, "next": elsewhere},
        )
        assert there == "/", elsewhere


def test_a_form_without_the_token_of_its_browser_changes_nothing(
    administrator: Visitor, nobody: Visitor
) -> None:
    foreign = nobody.form_token()
    for given in ({}, {"csrf": ""}, {"csrf": "00" * 32}, {"csrf": "x"}, {"csrf": foreign}):
        answer = administrator.client.post("/projects", data={"name": "made", **given})
        refused(answer, 403, "form-expired")

    assert "made" not in administrator.read("/projects")


def test_a_cookie_alone_opens_the_api_for_reading_only(administrator: Visitor) -> None:
    client = administrator.client

    assert client.get("/api/v1/projects").status_code == 200
    refused(client.post("/api/v1/projects", json={"name": "made"}), 403, "form-expired")
    token = {"X-CSRF-Token": administrator.form_token()}
    assert client.post("/api/v1/projects", json={"name": "made"}, headers=token).status_code == 201


def test_a_signed_out_session_opens_nothing_in_any_browser(app: Flask, owner: Visitor) -> None:
    cookie = owner.client.get_cookie("stateroom_session")
    assert cookie is not None
    thief = Visitor(app, cookie.value)
    assert thief.get("/account").status_code == 200

    owner.done("/sign-out")

    assert thief.get("/account").status_code == 303
    assert owner.client.get_cookie("stateroom_session") is None
    bearer = {"Authorization": f"Bearer {cookie.value}"}
    assert app.test_client().get("/api/v1/projects", headers=bearer).status_code == 401


def test_sessions_are_listed_with_their_browser_and_can_be_ended(
    boss: Caller, app: Flask, shop: str
) -> None:
    new_person(boss, "ann", shop="guest")
    first, second = Visitor(app), Visitor(app)
    for one in (first, second):
        one.done("/sign-in", {"name": "ann", "password": PASSWORD})

    rows = first.read("/account").split("<tr>")

    others = [row for row in rows if "Firefox on Linux" in row and "this one" not in row]
    assert (len(others), sum("this one" in row for row in rows)) == (1, 1)
    ends = re.findall(r'action="(/account/sessions/[^"]+/end)"', others[0])
    assert first.done(ends[0]) == "/account"
    assert second.get("/account").status_code == 303
    assert first.get("/account").status_code == 200


def test_the_cookie_is_for_http_only_and_for_this_site(nobody: Visitor, owner: Visitor) -> None:
    answer = nobody.send("/sign-in", {"name": "visitor-owner-false", "password": PASSWORD})

    (session,) = [
        one for one in answer.headers.getlist("Set-Cookie") if one.startswith("stateroom_session=")
    ]
    assert "HttpOnly" in session
    assert "SameSite=Lax" in session
    assert "Secure" not in session, "the tests have no https"


def test_a_token_is_no_session(app: Flask, boss: Caller) -> None:
    answer = Visitor(app, boss.token).get("/account")

    assert answer.status_code == 401
    assert "Pages are for people" in words(answer.get_data(as_text=True))


def test_the_first_administrator_is_made_with_the_token_of_the_installation(
    nobody: Visitor, settings: Settings
) -> None:
    there = nobody.get("/", follow_redirects=True).get_data(as_text=True)
    assert str(settings.admin_token_path) in there
    fields = {"name": "ann", "password": PASSWORD}
    wrong = nobody.send("/first", {"token": "stateroom_wrong", **fields})
    assert wrong.status_code == 401

    assert nobody.done("/first", {"token": token_of(settings.data_dir), **fields}) == "/"

    assert "You are the administrator" in nobody.read("/")
    other = Visitor(nobody.client.application)
    again = other.send("/first", {"token": token_of(settings.data_dir), **fields})
    assert again.status_code == 409


def test_problems_are_pages_for_browsers_and_json_for_programs(owner: Visitor) -> None:
    page = owner.get("/projects/nowhere")
    program = owner.client.get("/projects/nowhere")

    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "There is no project 'nowhere'" in words(page.get_data(as_text=True))
    refused(program, 404, "not-found")


def test_every_page_has_a_strict_policy(owner: Visitor, nobody: Visitor) -> None:
    answers = [owner.get("/"), owner.get("/projects/nowhere"), nobody.get("/sign-in")]

    for answer in answers:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_token_of_a_form_is_another_one_each_time(owner: Visitor) -> None:
    found = {FORM_TOKEN.findall(owner.read("/account"))[0] for _ in range(3)}

    assert len(found) == 3


def test_what_another_site_sends_is_refused(owner: Visitor) -> None:
    fields = {"csrf": owner.form_token(), "name": "made"}
    for headers in ({"Origin": "https://example.com"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = owner.client.post("/projects", data=fields, headers=headers)
        refused(answer, 403, "browser-request")


def test_a_stranger_sees_no_project(visitor_of: Callable[..., Visitor]) -> None:
    stranger = visitor_of(None)

    assert stranger.get("/projects/shop").status_code == 404
    assert "shop" not in words(stranger.read("/projects"))
