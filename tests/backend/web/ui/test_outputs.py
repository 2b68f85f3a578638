"""The page of the outputs of a state."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from backend.web.ui import outputs, state_values
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.resources import document
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app/outputs"
STATE = "/api/terraform/state/shop/app"
SECRET = "s3cret-77"


@pytest.fixture
def written(boss: Caller, shop: str) -> None:
    secret = {"value": SECRET, "type": "string", "sensitive": True}
    hosts = {"value": ["a", "b"], "type": ["list", "string"]}
    body = document(url="https://x", hosts=hosts, password=secret)
    assert boss.call("POST", STATE, data=body).status_code == 200


@one_database
def test_outputs_have_types_and_values_and_sensitive_ones_are_hidden(
    owner: Visitor, written: None
) -> None:
    page = read_within(owner, AT)

    said = words(page)
    assert 'hosts list(string) [ "a", "b" ]' in said
    assert "password string sensitive" in said
    assert 'data-copy="https://x"' in page
    assert SECRET not in page


@one_database
def test_sensitive_values_are_shown_to_who_asks_for_them_and_it_is_audited(
    owner: Visitor, written: None, boss: Caller
) -> None:
    answer = owner.send(AT)

    assert answer.status_code == 200
    assert SECRET in answer.get_data(as_text=True)
    assert answer.headers["Cache-Control"] == "no-store"
    actions = [entry["action"] for entry in boss.get("/projects/shop/audit").json["items"]]
    assert "outputs.reveal" in actions


@one_database
def test_who_may_not_read_the_state_sees_no_button_and_no_secret(
    visitor_of: Callable[..., Visitor], written: None
) -> None:
    runner = visitor_of("task_runner")

    assert "Show sensitive values" not in runner.read(AT)
    refused = runner.send(AT)
    assert refused.status_code == 403
    assert SECRET not in refused.get_data(as_text=True)
    assert visitor_of("guest").get(AT).status_code == 403
    assert visitor_of(None).get(AT).status_code == 404


@one_database
def test_many_outputs_have_pages_and_are_searched(
    owner: Visitor, boss: Caller, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many: dict[str, Any] = {f"out{number:02}": "x" for number in range(12)}
    boss.call("POST", STATE, data=document(**many))
    monkeypatch.setattr(outputs, "PAGE", 5)

    page = owner.read(AT)

    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert "out04" in page
    assert "out05" not in page
    assert "out05" in owner.read(following[1] if following else "")
    assert "out11" in owner.read(f"{AT}?q=11")


@one_database
def test_a_long_value_is_cut(owner: Visitor, boss: Caller, shop: str) -> None:
    boss.call("POST", STATE, data=document(long="x" * 30_000))

    assert "and 10,000 letters more" in words(owner.read(AT))


@one_database
def test_a_state_without_outputs_teaches_how_to_get_one(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    assert "The state was never written" in words(owner.read(AT))
    boss.call("POST", STATE, data=document())
    assert "The configuration declares none" in words(owner.read(AT))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("string", "string"),
        (["map", ["list", "number"]], "map(list(number))"),
        (["object", {"a": "string", "b": ["set", "bool"]}], "object({a = string, b = set(bool)})"),
        (["tuple", ["string", "number"]], "tuple([string, number])"),
        (None, ""),
        ({"strange": 1}, ""),
    ],
)
def test_types_are_said_as_a_configuration_says_them(given: object, said: str) -> None:
    assert state_values.type_name(given) == said


def test_a_type_within_types_without_end_is_cut() -> None:
    deep: object = "string"
    for _ in range(500):
        deep = ["list", deep]

    assert len(state_values.type_name(deep)) < 100
