"""Every page with example data, in a real browser: for whoever reads it, on whatever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support import browsers, screenshots
from tests.support.browsers import Window, faults_of, overhang
from tests.support.example.installation import Example

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def made() -> Iterator[Example]:
    browsers.needed()
    with screenshots.example() as example:
        yield example


@pytest.fixture
def window(browser: Browser, made: Example) -> Iterator[Window]:
    opened = Window(browser, made.url, made.session())
    yield opened
    opened.close()


@pytest.mark.timeout(400)
def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(
    window: Window, made: Example
) -> None:
    found = {}
    for name, path in screenshots.PAGES.items():
        page = window.open(made.at(path))
        page.wait_for_timeout(screenshots.SETTLE_MS)
        faults = faults_of(page)
        page.emulate_media(color_scheme="dark")
        faults += [f"dark: {one}" for one in faults_of(page, "color-contrast")]
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a typed dict
        if wider := overhang(page):
            faults.append(f"{wider} pixels wider than a phone: {_widest(page)}")
        if faults:
            found[name] = faults
        page.close()

    assert found == {}


def test_every_page_can_be_read_without_javascript(browser: Browser, made: Example) -> None:
    window = Window(browser, made.url, made.session(), java_script_enabled=False)
    for name, path in screenshots.PAGES.items():
        page = window.open(made.at(path))
        assert page.locator("h1").first.is_visible(), name
        assert len(page.locator("main").inner_text()) > 20, name
        page.close()
    window.close()


def _widest(page: Page) -> str:
    found: str = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1
                && !one.closest(".scroll, .tabs, pre"))
            .slice(0, 5).map(one => `${one.tagName}.${one.className}`).join(", ")"""
    )
    return found
