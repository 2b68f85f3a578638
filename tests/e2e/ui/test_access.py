"""Giving access in a browser: to people, and to programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.browsers import Window, faults_of
from tests.support.place import Place
from tests.support.wire import Http


def test_a_colleague_gets_a_password_and_a_role_and_signs_in(
    window_of: Callable[..., Window], place: Place
) -> None:
    page = window_of(place, admin=True).open("/users")
    name = f"grace-{place.project}"[:60]
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create the user").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{name} can sign in")
    password = page.locator("dt:has-text('Password') + dd code").inner_text()
    page.locator("main summary", has_text=place.project).click()
    page.get_by_label("Manager").locator("visible=true").check()
    page.get_by_role("button", name=f"Add {name} to {place.project}").click()
    expect(page.get_by_role("status")).to_contain_text(f"{name} is manager of {place.project}")
    page.go_back()
    expect(page.locator("main")).not_to_contain_text(password)

    window = window_of(place, None)
    window.context.clear_cookies()
    theirs = window.open(f"/projects/{place.project}")
    theirs.get_by_label("Name").fill(name)
    theirs.get_by_label("Password").fill(password)
    theirs.get_by_role("button", name="Sign in").click()

    expect(theirs.get_by_role("link", name="Keys").locator("visible=true")).to_be_visible()
    assert theirs.url.endswith(f"/projects/{place.project}")


def test_a_token_is_issued_in_the_page_and_opens_the_api(
    window_of: Callable[..., Window], place: Place
) -> None:
    page = window_of(place).open(f"/projects/{place.project}/tokens")
    page.get_by_label("What it is for").fill("pipeline")
    page.get_by_role("button", name="Issue the token").click()
    expect(page.get_by_role("alert")).to_contain_text("scopes")
    expect(page.get_by_label("What it is for")).to_have_value("pipeline")

    page.locator("[name=scopes][value='runs:read']").check()
    page.get_by_role("button", name="Issue the token").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("The token pipeline")
    [secret] = {*re.findall(r"stateroom_\w+", page.locator("main").inner_text())}
    answer = Http(place.wire.url).send(
        "GET", f"/api/v1/projects/{place.project}/runs", b"", {"Authorization": f"Bearer {secret}"}
    )
    assert answer.status == 200
    assert json.loads(answer.body)["items"] == []
    page.reload()
    expect(page.locator("main")).to_contain_text("pipeline")
    expect(page.locator("main")).not_to_contain_text(secret)


def test_the_pages_are_for_everybody_and_fit_a_phone(
    window_of: Callable[..., Window], place: Place
) -> None:
    of = f"/projects/{place.project}"
    place.api.post(f"{of}/keys", name="deploy", kind="ssh", generate=True)
    place.api.post(f"{of}/variable-sets", name="common")
    place.api.post(f"{of}/variable-sets/common/variables", name="region", value="eu")
    paths = (
        f"{of}/keys", f"{of}/keys/deploy", f"{of}/git-credentials", f"{of}/hosts", f"{of}/tokens",
        f"{of}/variable-sets", f"{of}/variable-sets/common", f"{of}/members", f"{of}/audit",
        f"{of}/settings", "/users", "/tokens", "/audit", "/installation",
    )  # fmt: skip
    for scheme in ("light", "dark"):
        width = 360 if scheme == "dark" else 1280
        window = window_of(
            place, admin=True, color_scheme=scheme, viewport={"width": width, "height": 800}
        )
        page = window.open("/account")
        for path in paths:
            page.goto(path, wait_until="load")
            page.evaluate(
                "for (const one of document.querySelectorAll('main details')) one.open = true"
            )
            assert faults_of(page) == [], (scheme, path)
            wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wider <= 0, (width, path)
