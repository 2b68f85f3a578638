from __future__ import annotations

from typing import Any

import pytest

from tests.support.caller import Caller, refused
from tests.support.databases import one_database

RULES = {
    "allow_destroys": False,
    "most_destroys": 5,
    "protected": ["aws_db_instance.*", "module.prod.**"],
    "if_broken": {"protected": "ask"},
    "approval_types": ["aws_iam_*"],
    "second_person": True,
    "windows": [{"days": ["mon-fri"], "from": "09:00", "to": "17:00", "zone": "Europe/Zurich"}],
    "approval_hours": 24,
}


def test_the_rules_of_a_template_are_shown_as_they_were_written(boss: Caller, shop: str) -> None:
    template = f"{shop}/templates/app"

    before = boss.get(template).json["rules"]
    changed = boss.patch(template, {"rules": RULES}).json["rules"]
    other = boss.patch(template, {"path": "x"}).json["rules"]
    replaced = boss.patch(template, {"rules": {"second_person": True}}).json["rules"]
    cleared = boss.patch(template, {"rules": {}}).json["rules"]

    assert before == {}
    assert changed == RULES
    assert other == RULES
    assert replaced == {"second_person": True}
    assert cleared == {}


def test_a_template_is_made_with_rules(boss: Caller, shop: str) -> None:
    body = {"repository": "https://git.example.com/net", "rules": RULES}

    assert boss.made(f"{shop}/templates", body)["rules"] == RULES


def test_the_audit_log_has_new_rules_in_full(boss: Caller, shop: str) -> None:
    boss.patch(f"{shop}/templates/app", {"rules": {"most_destroys": 1}})

    entries = boss.get("/projects/shop/audit", action="template.update").json["items"]
    assert entries[0]["detail"]["rules"] == {"most_destroys": 1}


@one_database
@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (None, "rules"),
        ([], "rules"),
        ({"allow_destroy": False}, "Do you mean allow_destroys?"),
        ({"allow_destroys": "no"}, "rules.allow_destroys: Input should be a valid boolean"),
        ({"most_destroys": -1}, "greater than or equal to 0"),
        ({"most_destroys": 1.5}, "rules.most_destroys"),
        ({"protected": "a.b"}, "rules.protected: Input should be a valid list"),
        (
            {"protected": ["a.b", "module.prod"]},
            "rules.protected.1: 'module.prod' is a module",
        ),
        ({"protected": ["**"] * 101}, "at most 100 items"),
        ({"approval_types": ["aws_iam_role.x"]}, "is no type of resources"),
        ({"approval_hours": 0}, "greater than or equal to 1"),
        ({"if_broken": "warn"}, "'refuse' or 'ask'"),
        ({"if_broken": {"windows": "ask"}}, "No plan can break a rule 'windows'"),
        ({"windows": [{"zone": "Europe/Zürich"}]}, "Do you mean Europe/Zurich?"),
        ({"windows": [{"zone": "UTC", "from": "9", "to": "10"}]}, "write it like 09:00"),
        ({"windows": [{"zone": "UTC", "from": "09:00", "to": "09:00"}]}, "is empty"),
        ({"windows": [{"zone": "UTC", "days": []}]}, "rules.windows.0.days"),
    ],
)
def test_wrong_rules_are_refused_with_a_sentence_and_the_old_ones_stay(
    boss: Caller, shop: str, rules: Any, says: str
) -> None:
    template = f"{shop}/templates/app"
    boss.patch(template, {"rules": {"second_person": True}})

    problem = refused(boss.patch(template, {"rules": rules}), 422, "invalid-request")

    assert says in problem["detail"]
    assert boss.get(template).json["rules"] == {"second_person": True}


@one_database
def test_the_rules_are_for_who_manages_templates(boss: Caller, stranger: Caller, shop: str) -> None:
    template = f"{shop}/templates/app"
    runs_only = boss.with_scopes("runs:read", "runs:create", "runs:approve", project="shop")

    refused(runs_only.patch(template, {"rules": {}}), 403, "scope-missing")
    refused(stranger.patch(template, {"rules": {}}), 404, "not-found")
    refused(boss.patch(f"{shop}/templates/none", {"rules": {}}), 404, "not-found")


@one_database
def test_a_destroy_is_refused_at_once_where_nothing_may_be_destroyed(
    boss: Caller, shop: str
) -> None:
    boss.patch(f"{shop}/templates/app", {"rules": {"allow_destroys": False}})

    problem = refused(boss.post(f"{shop}/runs", {"operation": "destroy"}), 409, "rule-broken")
    assert problem["rule"] == "allow_destroys"
    assert boss.get(f"{shop}/runs").json["items"] == []

    boss.patch(f"{shop}/templates/app", {"rules": {"allow_destroys": False, "if_broken": "ask"}})
    boss.made(f"{shop}/runs", {"operation": "destroy"})
    boss.made(f"{shop}/runs", {"operation": "apply"})
