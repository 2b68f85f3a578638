"""The page at /api/reference, in a real browser."""

from __future__ import annotations

import hashlib
import re

from playwright.sync_api import Browser

from backend.web.ui import reference
from tests.support import browsers
from tests.support.installations import Installations
from tests.support.project import ROOT

FILES = ROOT / "backend/web/ui/static/reference"


def test_the_reference_lists_every_operation_under_a_strict_policy(
    browser: Browser, installations: Installations
) -> None:
    url = installations.server().url
    page = browser.new_page()
    page.set_default_timeout(60_000)
    heard = browsers.complaints(page)
    elsewhere: list[str] = []
    page.on("request", lambda asked: elsewhere.append(asked.url))

    answer = page.goto(f"{url}/api/reference", wait_until="load")
    page.wait_for_selector(".opblock-tag")

    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    document = page.request.get(f"{url}/api/v1/openapi.json").json()
    operations = sum(len([*path]) for path in document["paths"].values())
    page.wait_for_function(
        "expected => document.querySelectorAll('.opblock').length === expected", arg=operations
    )
    page.locator(".opblock-get .opblock-summary-control").first.click()
    page.wait_for_selector(".opblock-body .responses-table")
    assert heard == []
    assert [u for u in elsewhere if not u.startswith((f"{url}/", "data:"))] == []


def test_the_files_are_those_that_were_published() -> None:
    noted = dict(
        re.findall(
            r"^\| `(swagger[^`]+)` \| `([0-9a-f]{64})` \|$",
            (FILES / "VENDORED.md").read_text(),
            re.MULTILINE,
        )
    )

    assert noted == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FILES.glob("swagger-ui*")
        if path.suffix in {".js", ".css"}
    }
    assert "unsafe" not in reference.CONTENT_SECURITY_POLICY
