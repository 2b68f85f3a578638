"""The pages of the audit log."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import text

from backend.audit import linker
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

pytestmark = one_database
OF_SHOP = "/projects/shop/audit"


@pytest.fixture
def linked(app: Flask, boss: Caller, shop: str) -> Callable[[], None]:
    """Link all entries now, as the server does after a second."""
    return lambda: linker.catch_up(app.extensions["stateroom"])


def test_entries_are_found_by_who_action_and_day(owner: Visitor, boss: Caller) -> None:
    boss.patch("/projects/shop", {"description": "new"})

    assert "project.update" in owner.read(OF_SHOP)
    assert "fields: description" in words(owner.read(f"{OF_SHOP}?action=project."))
    for other in ("action=state.", "principal=nobody", "object=x", "until=2020-01-01"):
        page = owner.read(f"{OF_SHOP}?{other}")
        assert "Nothing was found" in page, other
    assert "project.update" in owner.read(f"{OF_SHOP}?since=2020-01-01&principal=administrator")


def test_a_filter_that_is_none_is_refused(owner: Visitor) -> None:
    for wrong in ("since=2026-13-01", "until=yesterday", "cursor=%3Cb%3E"):
        assert owner.get(f"{OF_SHOP}?{wrong}").status_code == 422, wrong


def test_older_entries_are_on_the_next_page(owner: Visitor, boss: Caller) -> None:
    for number in range(60):
        boss.patch("/projects/shop", {"description": str(number)})

    first = owner.read(f"{OF_SHOP}?action=project.update")
    [more] = re.findall(r'rel="next" href="([^"]+)"', first)

    assert first.count("project.update</a>") == 50
    assert owner.read(more.replace("&amp;", "&")).count("project.update</a>") == 10


def test_the_chain_is_verified_in_the_page(
    administrator: Visitor, linked: Callable[[], None]
) -> None:
    linked()
    assert "Not verified yet" in administrator.read("/audit")

    administrator.done("/audit/verify")

    page = words(administrator.read("/audit"))
    assert "verified up to entry" in page
    assert "by visitor-owner-true" in page
    assert re.search(r"[0-9]+:[0-9a-f]{64}", page)


def test_a_changed_entry_is_told_as_long_as_it_is_wrong(
    administrator: Visitor, linked: Callable[[], None], app: Flask
) -> None:
    linked()
    with app.extensions["stateroom"].database.transaction() as db:
        db.execute(text("DROP TRIGGER audit_entries_update"))
        db.execute(text("UPDATE audit_entries SET principal = 'mallory'"))

    administrator.done("/audit/verify")

    page = administrator.read("/audit")
    assert "It is broken." in words(page)
    assert "was changed after it was linked" in words(page)


def test_hostile_text_in_an_entry_is_harmless(owner: Visitor, boss: Caller) -> None:
    name = "<script>x</script>\N{RIGHT-TO-LEFT OVERRIDE}"
    hostile = Caller(
        boss.client, boss.made("/tokens", {"name": name, "scopes": ["admin"]})["secret"]
    )
    hostile.patch("/projects/shop", {"description": "x"})

    page = owner.read(OF_SHOP)

    assert "<script>x" not in page
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page


def test_the_log_is_for_administrators(visitor_of: Callable[..., Visitor]) -> None:
    expected = {"owner": (200, 403), "manager": (403, 403), "guest": (403, 403), None: (404, 403)}
    for role, (of_shop, of_all) in expected.items():
        visitor = visitor_of(role)
        assert visitor.get(OF_SHOP).status_code == of_shop, role
        assert visitor.get("/audit").status_code == of_all, role
        assert visitor.send("/audit/verify").status_code == 403, role


def test_the_export_is_of_the_chosen_days(owner: Visitor) -> None:
    page = owner.read(f"{OF_SHOP}?since=2020-01-01&until=2020-01-31")

    [where] = re.findall(r'href="(/api/v1/projects/shop/audit/export[^"]*)"', page)
    assert "since=2020-01-01" in where
    assert "until=2020-02-01" in where
    assert owner.client.get(where.replace("&amp;", "&")).data == b""


def test_the_pages_take_few_statements(administrator: Visitor) -> None:
    for path in ("/audit", OF_SHOP, f"{OF_SHOP}?principal=x&action=y&since=2020-01-01"):
        read_within(administrator, path)
