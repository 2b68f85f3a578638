"""The page of the installation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from backend.transactions import Installation
from backend.upkeep.rotation import Rotation
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

pytestmark = one_database
AT = "/installation"
REPORT: dict[str, Any] = {
    "url": "https://stateroom.example.com",
    "version": "0.1.0",
    "sound": False,
    "checks": [
        {
            "theme": "locks", "check": "a lock is held", "outcome": "fail",
            "seen": "423 <script>x</script>", "means": "Two applies at once.", "do": "Turn it off.",
        }
    ],
}  # fmt: skip


def test_the_page_says_how_everything_is(administrator: Visitor) -> None:
    page = words(administrator.read(AT))

    for said in ("Database answers", "Keyring opens", "Rows are as", "Encrypts with"):
        assert said in page, said
    assert "No worker has been seen" in page
    assert "stateroom doctor --report" in page
    assert "STATEROOM_MAX_STATE_BYTES" in page


def test_what_the_doctor_found_is_told(administrator: Visitor, boss: Caller) -> None:
    boss.put("/installation/doctor", REPORT)

    page = administrator.read(AT)

    assert "not sound" in page
    assert "Two applies at once." in page
    assert "<script>x" not in page


def test_a_rotation_is_told_until_everything_is_wrapped_again(
    administrator: Visitor, app: Flask
) -> None:
    here: Installation = app.extensions["stateroom"]
    assert "at work what other keys wrap" in words(administrator.read(AT))
    rotation = Rotation(here)
    while rotation() == 0.0:
        pass

    assert "done everything is wrapped with this key" in words(administrator.read(AT))


def test_changed_rows_are_named(administrator: Visitor, app: Flask) -> None:
    app.extensions["stateroom"].suspects["users usr_x"] = "Stateroom did not write this row."

    page = administrator.read(AT)

    assert "users usr_x" in page
    assert "stateroom keys accept" in page
    assert 'bad.svg"' in page


def test_the_page_is_for_administrators_of_the_installation(
    visitor_of: Callable[..., Visitor],
) -> None:
    for role in ("owner", "guest", None):
        assert visitor_of(role).get(AT).status_code == 403, role


def test_the_page_takes_few_statements(administrator: Visitor) -> None:
    read_within(administrator, AT)
