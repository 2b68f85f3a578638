"""The page at /, in a real browser."""

from __future__ import annotations

from playwright.sync_api import Browser

from backend.upkeep import installation
from tests.support import browsers
from tests.support.installations import Installations


def test_the_page_says_what_this_is_and_where_everything_is(
    browser: Browser, installations: Installations
) -> None:
    url = installations.server().url
    page = browser.new_page()
    complaints = browsers.complaints(page)

    page.goto(f"{url}/", wait_until="load")

    assert page.get_by_role("heading", name="Stateroom").is_visible()
    assert installation.version() in page.content()
    described = page.get_by_role("link", name="openapi.json").get_attribute("href")
    assert page.request.get(f"{url}{described}").json()["info"]["title"] == "Stateroom"
    assert page.evaluate("getComputedStyle(document.querySelector('dl')).display") == "grid"
    assert complaints == []
