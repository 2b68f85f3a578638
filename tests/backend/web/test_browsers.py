"""No page of another site changes anything with the login that a browser remembers."""

from __future__ import annotations

import pytest

from backend.config import Settings
from tests.support.caller import Caller, refused
from tests.support.databases import one_database

PAGES = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@one_database
@pytest.mark.parametrize("page", PAGES, ids=lambda page: ": ".join(*page.items()))
def test_a_page_of_another_site_queues_and_deletes_nothing(
    boss: Caller, app_workspace: str, page: dict[str, str]
) -> None:
    for verb, path in [
        ("POST", "/projects/shop/runs"),
        ("POST", f"{app_workspace}/lock"),
        ("DELETE", app_workspace),
    ]:
        refused(boss.call(verb, path, headers=page), 403, "browser-request")

    assert boss.get("/projects/shop/runs").json["items"] == []
    assert boss.get(app_workspace).status_code == 200


@one_database
def test_a_page_of_this_server_and_a_link_from_elsewhere_work(
    boss: Caller, app_workspace: str, settings: Settings
) -> None:
    own = {"Origin": settings.url, "Sec-Fetch-Site": "same-origin"}
    from_host = {"Origin": "http://localhost"}  # as the Host header says

    for headers in (own, from_host):
        answer = boss.call("PATCH", app_workspace, json={"keep_days": 5}, headers=headers)
        assert answer.status_code == 200, answer.get_data(as_text=True)
    linked = boss.call("GET", app_workspace, headers={"Sec-Fetch-Site": "cross-site"})
    assert linked.status_code == 200
