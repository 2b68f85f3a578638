"""Pages of rescued writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.resources import document, resource
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app/rescued"
STATE = "/api/terraform/state/shop/app"
SECRET = "s3cret-55"


@pytest.fixture
def refuse(boss: Caller, shop: str) -> Callable[[bytes], str]:
    """Has a document refused; the address of the rescued write."""
    stored = document(resource("a", password=SECRET), serial=5)
    assert boss.call("POST", STATE, data=stored).status_code == 200

    def make(body: bytes) -> str:
        answer = boss.call("POST", STATE, data=body)
        assert answer.status_code == 409, answer.get_data(as_text=True)
        return f"{AT}/{answer.json['rescued']}"

    return make


@pytest.fixture
def late(refuse: Callable[[bytes], str]) -> str:
    return refuse(document(resource("a"), resource("b", password=f"{SECRET}x"), serial=4))


@one_database
def test_nothing_rescued_is_explained(owner: Visitor, shop: str) -> None:
    assert "Nothing had to be rescued" in words(owner.read(AT))


@one_database
def test_a_rescued_write_is_listed_and_compared(owner: Visitor, late: str) -> None:
    listed, page = read_within(owner, AT), words(read_within(owner, late))

    assert "It was older than the newest state. " in words(listed)
    assert f'href="{late}"' in listed
    assert "It is older than the newest version." in page
    assert "Serial 4 5" in page
    assert "It becomes version 2; version 1 stays in the history" in page


@one_database
def test_what_it_would_change_is_shown_without_secrets(owner: Visitor, late: str) -> None:
    page = read_within(owner, f"{late}/diff")

    assert "version 1 → the rescued write" in words(page)
    assert "+1 added" in words(page)
    assert "aws_instance.b" in page
    assert SECRET not in page


def test_it_is_promoted(owner: Visitor, late: str, boss: Caller) -> None:
    to = owner.done(f"{late}/promote")

    assert to == "/projects/shop/workspaces/app/versions/2"
    assert "it is the rescued write" in words(owner.read(to))
    assert "promoted to version 2" in words(owner.read(AT))
    done = words(owner.read(late))
    assert "Its content is removed: version 2 has it." in done
    assert "Promote it" not in done
    assert owner.send(f"{late}/promote").status_code == 409
    assert "already" in words(owner.read(f"{late}/diff"))


@one_database
def test_one_of_another_state_is_promoted_by_force_only(
    owner: Visitor, refuse: Callable[[bytes], str]
) -> None:
    other = refuse(document(resource("z"), serial=9, lineage="another"))

    assert "Promote it although it belongs to another state" in words(owner.read(other))
    assert owner.send(f"{other}/promote", {"force": "false"}).status_code == 409
    assert owner.done(f"{other}/promote", {"force": "true"}).endswith("/versions/2")


def test_it_is_dismissed(owner: Visitor, late: str, boss: Caller) -> None:
    assert "resources that only this document knows are forgotten" in words(owner.read(late))

    to = owner.done(f"{late}/dismiss")

    assert to == AT
    assert "dismissed by" in words(owner.read(AT))
    assert boss.get("/projects/shop/workspaces/app/states").json["items"][0]["number"] == 1


@one_database
def test_each_role_sees_what_it_may_decide(
    visitor_of: Callable[..., Visitor], late: str, boss: Caller
) -> None:
    assert "Promote it" in words(visitor_of("manager").read(late))
    assert visitor_of("task_runner").get(late).status_code == 403
    assert visitor_of(None).get(late).status_code == 404
    assert visitor_of("owner").get(f"{AT}/rw_nothing").status_code == 404
