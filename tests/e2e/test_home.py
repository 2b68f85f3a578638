"""The page at /, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from backend.upkeep import installation
from tests.support.installations import Installations
from tests.support.required import required

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = required("chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield chromium
        chromium.close()


def test_the_page_says_what_this_is_and_where_everything_is(
    browser: Browser, installations: Installations
) -> None:
    url = installations.server().url
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(f"{url}/", wait_until="load")

    assert page.get_by_role("heading", name="Stateroom").is_visible()
    assert installation.version() in page.content()
    described = page.get_by_role("link", name="openapi.json").get_attribute("href")
    assert page.request.get(f"{url}{described}").json()["info"]["title"] == "Stateroom"
    assert page.evaluate("getComputedStyle(document.querySelector('dl')).display") == "grid"
    assert complaints == []
