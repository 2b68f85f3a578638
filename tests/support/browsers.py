"""A real browser, and what it complains of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.project import ROOT
from tests.support.required import required

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Skips the test where there is none; in CI it fails."""
    path = required("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


def needed() -> None:
    """Skip the test where there is no browser; in CI it fails."""
    required("chromium")


def complaints(page: Page) -> list[str]:
    """What the page writes to the console, violations of its policy too, from now on."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


class Window:
    """Somebody's browser, who may have signed in. Every complaint of it is a failure."""

    def __init__(
        self, browser: Browser, url: str, token: str | None = None, **options: Any
    ) -> None:
        """`options` are those of Playwright's new_context, such as `color_scheme`."""
        self.url = url
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(60_000)
        if token is not None:
            self.context.add_cookies(
                [{"name": "stateroom_session", "value": token, "url": url, "sameSite": "Lax"}]
            )
        self.heard: list[str] = []

    def open(self, path: str) -> Page:
        """A page in a new tab."""
        page = self.context.new_page()
        page.on("console", lambda message: self._hear(message.text))
        page.on("pageerror", lambda error: self._hear(str(error)))
        page.goto(path, wait_until="load")
        return page

    def expect(self, complaint: str) -> None:
        """Take back one complaint that a test has provoked."""
        found = next(said for said in self.heard if complaint in said)
        self.heard.remove(found)

    def close(self) -> None:
        self.context.close()
        assert not self.heard, "\n".join(self.heard)

    def _hear(self, said: str) -> None:
        if not said.startswith(HARMLESS):
            self.heard.append(said)


HARMLESS = (
    # a form that is refused, which the page tells in words
    "Failed to load resource: the server responded with a status of 4",
    "Clear-Site-Data header on",
)
AXE = ROOT / "tests/support/axe/axe.min.js"


def faults_of(page: Page, *rules: str) -> list[str]:
    """What axe-core finds on a page that is serious or critical for somebody; by default, of all.

    `color-contrast` is the rule that depends on the colours of a scheme.
    """
    # by the debugger, which no content security policy stops
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8") + "; null")
    given = {"resultTypes": ["violations"]} | ({"runOnly": [*rules]} if rules else {})
    found = page.evaluate("given => axe.run(document, given)", given)
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:5]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


def overhang(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return max(0, wide)
