"""Every page with example data, in a real browser: for whoever reads it, on whatever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support import browsers, screenshots
from tests.support.browsers import Window, faults_of, overhang
from tests.support.example import addresses
from tests.support.example.installation import Example

PHONE = {"width": 360, "height": 740}
PARTS = 3  # of all pages: none takes longer than a test may


@pytest.fixture(scope="module")
def made() -> Iterator[Example]:
    browsers.needed()
    with screenshots.example() as example:
        yield example


@pytest.fixture(scope="module")
def paths(made: Example) -> list[str]:
    """One of each page, and those of which there are several kinds."""
    pictured = (made.at(path) for path in screenshots.PAGES.values())
    return list(dict.fromkeys([*pictured, *addresses.every_page(made)]))


@pytest.fixture
def window(browser: Browser, made: Example) -> Iterator[Window]:
    opened = Window(browser, made.url, made.session())
    yield opened
    opened.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_accessible_in_light_and_dark_and_fits_a_phone(
    window: Window, paths: list[str], part: int
) -> None:
    found = {}
    for path in paths[part::PARTS]:
        page = window.open(path)
        if not is_whole(page):
            page.close()
            continue
        page.wait_for_timeout(screenshots.SETTLE_MS)
        faults = faults_of(page)
        page.emulate_media(color_scheme="dark")
        faults += [f"dark: {one}" for one in faults_of(page, "color-contrast")]
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a typed dict
        if wider := overhang(page):
            faults.append(f"{wider} pixels wider than a phone: {_widest(page)}")
        if faults:
            found[path] = faults
        page.close()

    assert found == {}


def test_every_page_can_be_read_without_javascript(
    browser: Browser, made: Example, paths: list[str]
) -> None:
    window = Window(browser, made.url, made.session(), java_script_enabled=False)
    page = window.open("/")
    for path in paths:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        if is_whole(page):
            assert page.locator("h1").first.is_visible(), path
            assert len(page.locator("main").inner_text()) > 20, path
    window.close()


def is_whole(page: Page) -> bool:
    """Whether this is a page, and not a part that is put into one."""
    return page.locator("main").count() == 1


def _widest(page: Page) -> str:
    found: str = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter(one => one.getBoundingClientRect().right > innerWidth + 1
                && !one.closest(".scroll, .tabs, pre"))
            .slice(0, 5).map(one => `${one.tagName}.${one.className}`).join(", ")"""
    )
    return found
