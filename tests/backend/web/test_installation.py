"""What the installation remembers of its examinations."""

from __future__ import annotations

from typing import Any

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

FOUND: dict[str, Any] = {
    "url": "https://stateroom.example.com",
    "version": "0.1.0",
    "sound": False,
    "checks": [
        {
            "theme": "locks", "check": "a lock is held", "outcome": "fail", "blocked": False,
            "seen": "423", "means": "two applies", "do": "ask", "seconds": 0.5,
        }
    ],
}  # fmt: skip
AT = "/installation/doctor"


def test_the_last_report_of_the_doctor_is_kept(boss: Caller) -> None:
    refused(boss.get(AT), 404, "not-found")

    first = boss.put(AT, FOUND)
    second = boss.put(AT, {**FOUND, "sound": True, "checks": []})

    assert (first.status_code, first.json["content"]) == (200, FOUND)
    assert second.json["by"] == "administrator"
    assert boss.get(AT).json == second.json


@one_database
def test_what_is_no_report_is_refused(boss: Caller) -> None:
    for wrong in ({}, {**FOUND, "more": 1}, {**FOUND, "sound": "yes"}, {**FOUND, "checks": [{}]}):
        refused(boss.put(AT, wrong), 422, "invalid-request")


@one_database
def test_reports_are_for_administrators_of_the_installation(boss: Caller, shop: str) -> None:
    owner = boss.with_scopes("admin", project="shop")

    assert owner.get(AT).status_code == 403
    assert owner.put(AT, FOUND).status_code == 403
