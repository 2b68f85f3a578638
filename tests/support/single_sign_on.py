"""Going to an OpenID provider and back, with a browser without a screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.support.caller import Caller
from tests.support.openid import Claims, Provider
from tests.support.visitor import Visitor, words

BEGIN, BACK = "/sign-in/oidc", "/sign-in/oidc/back"
ROLES = "devs=shop:manager; ops=shop:guest\nlords=admin;cn=a,dc=b=shop:task_runner"


def settings_of(**changes: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", [changes], indirect=True, ids=[""])


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


def saying(**claims: Any) -> Callable[[Claims], Claims]:
    return lambda given: given | claims


def without(name: str) -> Callable[[Claims], Claims]:
    return lambda given: {claim: value for claim, value in given.items() if claim != name}
