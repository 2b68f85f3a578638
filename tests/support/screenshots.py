"""`make screenshots`: pictures of the pages with example data, for README and docs.

python -m tests.support.screenshots [FOLDER]: into docs/screenshots, or another folder.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.support import browsers, small_png
from tests.support.example import installation
from tests.support.example.installation import Example
from tests.support.project import ROOT
from tests.support.stateroom import Stateroom

FOLDER = ROOT / "docs" / "screenshots"
AT = "/projects/shop"
OF = f"{AT}/workspaces/production"
PAGES = {
    "sign-in": "/sign-in",
    "overview": "/",
    "guide": "/guide",
    "runs": f"{AT}/runs",
    "new-run": f"{AT}/runs/new?workspace=production",
    "run-planned": f"{AT}/runs/{{planned}}",
    "run-failed": f"{AT}/runs/{{failed}}",
    "run-live": f"{AT}/runs/{{live}}",
    "run-destroy": f"{AT}/runs/{{destroy}}",
    "plan": f"{AT}/runs/{{planned}}/plan",
    "log": f"{AT}/runs/{{applied}}/log",
    "workspaces": f"{AT}/workspaces",
    "workspace": OF,
    "resources": f"{OF}/resources",
    "graph": f"{OF}/graph",
    "outputs": f"{OF}/outputs",
    "versions": f"{OF}/versions",
    "diff": f"{OF}/diff?from=1&to=2",
    "variables": f"{OF}/variables",
    "aliases": f"{AT}/workspaces/laptop/aliases",
    "lock": f"{AT}/workspaces/laptop/lock",
    "rescued": f"{AT}/workspaces/laptop/rescued",
    "workspace-settings": f"{OF}/settings",
    "transfer": f"{OF}/transfer",
    "template": f"{AT}/templates/shop",
    "keys": f"{AT}/keys",
    "hosts": f"{AT}/hosts",
    "members": f"{AT}/members",
    "tokens": "/tokens",
    "audit": f"{AT}/audit",
    "users": "/users",
    "installation": "/installation",
}
DARK = ("overview", "run-planned", "graph")
PHONE = ("overview", "run-planned", "workspaces")
DESK_SIZE = {"width": 1280, "height": 800}
PHONE_SIZE = {"width": 390, "height": 844}
SETTLE_MS = 700  # for what is loaded after the page: plan, log, picture of the graph


def main(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with example() as made, browsers.chromium() as browser:
        take(made, browser, PAGES, folder, viewport=DESK_SIZE)
        dark = {name: PAGES[name] for name in DARK}
        take(made, browser, dark, folder, "-dark", viewport=DESK_SIZE, color_scheme="dark")
        phone = {name: PAGES[name] for name in PHONE}
        take(made, browser, phone, folder, "-phone", viewport=PHONE_SIZE)


@contextmanager
def example() -> Iterator[Example]:
    """An installation with the example, stopped at the end."""
    with TemporaryDirectory(prefix="example-") as place:
        room = Stateroom(Path(place))
        try:
            room.start()
            made = installation.make(room, Path(place))
            yield made
            made.end_live_run()
        finally:
            room.stop()


def take(
    made: Example,
    browser: Browser,
    pages: dict[str, str],
    folder: Path,
    suffix: str = "",
    **options: Any,
) -> None:
    """A picture of each page, as an administrator sees it."""
    context = browser.new_context(base_url=made.url, **options)
    if "sign-in" not in pages:
        sign_in(made, context)
    for name, path in pages.items():
        page = context.new_page()
        answer = page.goto(made.at(path), wait_until="load")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        page.wait_for_timeout(SETTLE_MS)
        (folder / f"{name}{suffix}.png").write_bytes(small_png.smaller(page.screenshot()))
        page.close()
        print(folder / f"{name}{suffix}.png")  # noqa: T201 it says what it made
        if name == "sign-in":
            sign_in(made, context)
    context.close()


def sign_in(made: Example, context: BrowserContext) -> None:
    context.add_cookies([{"name": "stateroom_session", "value": made.session(), "url": made.url}])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else FOLDER)
