"""Signing in with an OpenID provider, in a real browser: the provider is a process of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsers import Window, faults_of
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, oidc_provider_mock, person
from tests.support.stateroom import Stateroom


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[str]:
    with oidc_provider_mock(tmp_path / "provider.log") as url:
        yield url


def test_a_person_signs_in_with_the_provider_and_sees_what_the_groups_give(
    new_stateroom: Callable[..., Stateroom], browser: Browser, provider: str
) -> None:
    stateroom = new_stateroom(
        oidc_issuer=provider,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=CLIENT_SECRET,
        oidc_name="Example ID",
        oidc_roles="devs=shop:manager",
    )
    stateroom.start_server()
    stateroom.api.post("/projects", name="shop")
    person(provider, "ann-1", preferred_username="ann", groups=["devs"])
    window = Window(browser, stateroom.url)
    # the provider's own pages ask the internet for their style
    window.context.route(re.compile("^https:"), lambda route: route.fulfill(body=""))

    page = window.open("/projects/shop")
    assert faults_of(page) == []
    sign_in(page)

    expect(page.get_by_role("heading", name="shop")).to_be_visible()
    page.locator("details.menu summary").first.click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign out of Example ID too")).to_be_visible()

    person(provider, "ann-1", preferred_username="ann", groups=[])
    sign_in(page)
    expect(page.get_by_role("heading", name="shop")).not_to_be_visible()
    assert page.goto("/projects/shop").status == 404  # type: ignore[union-attr]
    window.close()


def sign_in(page: Page) -> None:
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.get_by_placeholder("sub").fill("ann-1")
    page.get_by_role("button", name="Authorize").click()
