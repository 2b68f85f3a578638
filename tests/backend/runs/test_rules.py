from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.catalogue.rules import Rules
from backend.errors import Conflict
from backend.runs import rules
from backend.runs.rules import Finding


def rule(**given: Any) -> Rules:
    return Rules.model_validate(given)


def resource(address: str, *actions: str, was: str | None = None) -> dict[str, Any]:
    kind = address.split("[", maxsplit=1)[0].split(".")[-2]
    return {"address": address, "type": kind, "actions": [*actions], "previous_address": was}


def judged(given: Rules, *resources: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (one.rule, one.decision)
        for one in rules.judge(given, {"summary": {}, "resources": resources})
    ]


def message(given: Rules, *resources: dict[str, Any]) -> str:
    [only] = rules.judge(given, {"summary": {}, "resources": resources})
    return only.message


DB = "aws_db_instance.main"


def test_without_rules_nothing_is_found() -> None:
    assert judged(rule(), resource(DB, "delete"), resource("a.b", "create")) == []


@pytest.mark.parametrize(
    "actions", [("delete",), ("delete", "create"), ("create", "delete")], ids="-".join
)
def test_destroying_and_replacing_break_the_rule_that_allows_no_destroys(
    actions: tuple[str, ...],
) -> None:
    assert judged(rule(allow_destroys=False), resource(DB, *actions)) == [
        ("allow_destroys", "refuse")
    ]


@pytest.mark.parametrize(
    "one",
    [
        resource(DB, "no-op"),
        resource(DB, "create"),
        resource(DB, "update"),
        resource(DB, "forget"),
        resource(DB, "create", "forget"),
        resource("data.x.y", "read"),
        resource(DB, "no-op", was="aws_db_instance.old"),
        {**resource(DB, "no-op"), "importing": {"id": "x"}},
    ],
)
def test_what_destroys_nothing_breaks_no_rule_about_destroys(one: dict[str, Any]) -> None:
    assert judged(rule(allow_destroys=False, most_destroys=0), one) == []


def test_more_destroys_than_allowed_are_counted_and_named() -> None:
    two = rule(most_destroys=2)

    assert judged(two, resource("a.b", "delete"), resource("a.c", "delete", "create")) == []
    said = message(two, *(resource(f"a.b[{n}]", "delete") for n in range(1, 1_013)))
    assert "1,012 resources" in said
    assert "at most 2" in said
    assert "a.b[1], a.b[2]" in said
    assert "and 1,002 more" in said


def test_each_rule_may_say_by_itself_whether_it_refuses_or_asks() -> None:
    mixed = rule(
        allow_destroys=False, most_destroys=0, protected=["**"],
        if_broken={"most_destroys": "ask", "protected": "ask"},
    )  # fmt: skip
    all_ask = rule(allow_destroys=False, most_destroys=0, if_broken="ask")

    assert judged(mixed, resource(DB, "delete")) == [
        ("allow_destroys", "refuse"), ("most_destroys", "ask"), ("protected", "ask"),
    ]  # fmt: skip
    assert {decision for _, decision in judged(all_ask, resource(DB, "delete"))} == {"ask"}


@pytest.mark.parametrize(
    "one",
    [
        resource(DB, "delete"),
        resource(DB, "delete", "create"),
        resource(DB, "forget"),
        resource(f"{DB}[0]", "delete"),
        resource(f'{DB}["a"]', "delete"),
        # under a new name and out of reach, at once or before the next plan destroys it
        resource("aws_db_instance.other", "delete", was=DB),
        resource("aws_db_instance.other", "no-op", was=DB),
        resource("module.old.aws_db_instance.main", "update", was=DB),
        # a protected address takes over what was not protected, and destroys it
        resource(DB, "delete", "create", was="aws_db_instance.other"),
    ],
    ids=lambda one: "-".join([one["address"], *one["actions"], one["previous_address"] or ""]),
)
def test_nothing_takes_a_protected_resource_away(one: dict[str, Any]) -> None:
    assert judged(rule(protected=[DB]), one) == [("protected", "refuse")]
    assert one["address"] in message(rule(protected=[DB]), one)


@pytest.mark.parametrize(
    "one",
    [
        resource(DB, "update"),
        resource(DB, "create"),
        resource(DB, "no-op"),
        resource(f"{DB}[0]", "no-op", was=DB),
        resource(DB, "no-op", was="aws_db_instance.other"),
        resource("aws_db_instance.other", "delete"),
        resource("module.a.aws_db_instance.main", "delete"),
    ],
    ids=lambda one: "-".join([one["address"], *one["actions"], one["previous_address"] or ""]),
)
def test_a_protected_resource_may_be_changed_and_moved_under_its_protection(
    one: dict[str, Any],
) -> None:
    assert judged(rule(protected=[DB]), one) == []


@pytest.mark.parametrize("action", ["create", "update", "delete", "forget"])
def test_a_change_of_these_types_needs_a_person(action: str) -> None:
    iam = rule(approval_types=["aws_iam_*"])

    assert judged(iam, resource("module.a.aws_iam_role.x[0]", action)) == [
        ("approval_types", "approval")
    ]
    assert judged(iam, resource("aws_s3_bucket.x", action)) == []


@pytest.mark.parametrize(
    "one", [resource("aws_iam_role.x", "no-op"), resource("data.aws_iam_role.x", "read")]
)
def test_what_is_only_read_needs_no_person(one: dict[str, Any]) -> None:
    assert judged(rule(approval_types=["*"]), one) == []


def test_a_template_that_wants_a_second_person_lets_no_plan_through_without_one() -> None:
    assert judged(rule(second_person=True)) == [("second_person", "approval")]


def test_the_gravest_finding_decides() -> None:
    refuse, ask = Finding("a", "A.", "refuse"), Finding("b", "B.", "ask")
    approval = Finding("c", "C.", "approval")

    assert rules.verdict([]) is None
    assert rules.verdict([approval]) == "approval"
    assert rules.verdict([approval, ask]) == "ask"
    assert rules.verdict([approval, ask, refuse]) == "refuse"
    assert rules.reason([approval, ask, refuse, ask], "ask") == "B. B."


def test_an_address_cannot_make_a_message_what_it_is_not() -> None:
    hostile = resource(f'a.b["\x1b[2J{"x" * 900}"]', "delete")

    said = message(rule(allow_destroys=False), hostile)

    assert said.isprintable()
    assert len(said) < 500


def test_a_run_that_destroys_everything_is_refused_at_once_where_nothing_may_be() -> None:
    with pytest.raises(Conflict) as refused:
        rules.refuse_at_once(rule(allow_destroys=False), "destroy")

    assert refused.value.code == "rule-broken"
    rules.refuse_at_once(rule(allow_destroys=False), "apply")
    rules.refuse_at_once(rule(allow_destroys=False, if_broken="ask"), "destroy")
    rules.refuse_at_once(rule(), "destroy")


def test_a_plan_waits_for_an_approval_as_long_as_its_template_says() -> None:
    moment = datetime(2026, 11, 30, tzinfo=UTC)

    assert rules.expires(rule(), moment) is None
    assert rules.expires(rule(approval_hours=36), moment) == moment + timedelta(hours=36)
