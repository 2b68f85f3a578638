"""What a refresh-only plan says about changes from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.plans import drift
from runner.plans.drift import Drift
from runner.plans.hiding import HIDDEN
from runner.processes.workdir import WorkDir
from runner.tools.tool import Tool
from tests.support.plans import Planning, plan_json, read_plan, resource

CANARY = "canary-3f9a1c77"


def drifted(
    address: str, before: dict[str, Any], after: dict[str, Any] | None, **marks: Any
) -> dict[str, Any]:
    actions = ["delete"] if after is None else ["update"]
    return resource(address, actions=actions, before=before, after=after, **marks)


def found(*drifts: dict[str, Any], secrets: tuple[str, ...] = (), **more: Any) -> Drift:
    content = plan_json(resource_drift=drifts, **more)
    return drift.find(read_plan(content, secrets=secrets))


def test_a_changed_attribute_is_named_with_what_it_was_and_is() -> None:
    one = drifted(
        "module.m[0].a.b", {"tags": {"x": "1"}, "n": 1, "same": 0}, {"tags": {"x": "2"}, "same": 0}
    )

    [changed] = found(one).resources

    assert (changed.address, changed.type, changed.action) == ("module.m[0].a.b", "a", "update")
    told = {attribute.path: (attribute.before, attribute.after) for attribute in changed.attributes}
    assert told == {("tags", "x"): ("1", "2"), ("n",): (1, None)}


def test_what_was_deleted_is_drift_without_attributes() -> None:
    [gone] = found(drifted("a.b", {"id": "x", "tags": {}}, None)).resources

    assert (gone.action, gone.attributes) == ("delete", ())


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, {}), (None, ""), ("", None), ([], None), ({}, None), (None, []), ("", [])],
)
def test_nothing_written_in_another_way_is_no_drift(before: object, after: object) -> None:
    one = drifted("a.b", {"x": before, "deep": {"y": before}}, {"x": after, "deep": {"y": after}})

    nothing = found(one)

    assert (nothing.resources, nothing.unimportant, nothing.is_any) == ((), 1, False)


@pytest.mark.parametrize(
    ("before", "after"), [(None, 0), (None, False), ("", "x"), ([], [0]), (False, True)]
)
def test_a_real_value_is_drift(before: object, after: object) -> None:
    assert (
        len(found(drifted("a.b", {"x": before, "y": None}, {"x": after, "y": ""})).resources) == 1
    )


def test_secrets_are_hidden_by_the_marks_of_the_plan_and_by_the_runs_own() -> None:
    one = drifted(
        'a.b["x"]',
        {"password": CANARY, "url": "https://x/", CANARY: 1},
        {"password": f"{CANARY}-new", "url": "https://a:token-of-a-run@x/", CANARY: 2},
        before_sensitive={"password": True},
        after_sensitive={"password": True},
    )

    hidden = found(one, secrets=("token-of-a-run",))

    [changed] = hidden.resources
    told = {one.path: one for one in changed.attributes}
    assert told["password",].before == told["password",].after == HIDDEN
    assert told["password",].sensitive
    assert not told["url",].sensitive
    said = msgspec.json.encode(hidden).decode()
    assert "token-of-a-run" not in said
    assert f'"{CANARY}-new"' not in said


def test_outputs_that_have_another_value_are_named() -> None:
    def output(before: object, after: object, *, secret: bool = False) -> dict[str, Any]:
        same = "no-op" if before == after else "update"
        marks = {"before_sensitive": secret, "after_sensitive": secret}
        return {"actions": [same], "before": before, "after": after, **marks}

    several = found(
        output_changes={
            "a": output(1, 2),
            "same": output(1, 1),
            "secret": output(CANARY, "x" * 20, secret=True),
        }
    )

    told = [(one.name, one.before, one.after, one.sensitive) for one in several.outputs]
    assert told == [("a", 1, 2, False), ("secret", HIDDEN, HIDDEN, True)]


def test_what_is_too_much_is_counted_and_long_values_are_cut() -> None:
    many = {f"a{number}": number for number in range(drift.MOST_ATTRIBUTES + 7)}
    long, wide = "x" * 100_000, [1] * 10_000
    wordy = drifted("a.b", {"text": "", "list": []}, {"text": long, "list": wide})
    busy = drifted("a.c", many, {name: number + 1 for name, number in many.items()})
    rest = [drifted(f"d.e{n}", {"x": 1}, {"x": 2}) for n in range(drift.MOST_RESOURCES + 3)]

    everything = found(wordy, busy, *rest)

    assert everything.resource_count == len(rest) + 2
    assert everything.more_resources == 5
    assert everything.resources[1].more_attributes == 7
    assert len(msgspec.json.encode(everything.resources[0])) < 5000


def test_real_tools_tell_outputs_and_no_difference_of_the_sources(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    planning = Planning(any_tool, short_root, work_dir)
    planning.apply('resource "terraform_data" "a" { input = 1 }\noutput "o" { value = 1 }\n')

    same = planning.plan(
        'resource "terraform_data" "a" { input = 2 }\noutput "o" { value = 1 }\n', "drift"
    )
    other = planning.plan('resource "terraform_data" "b" {}\noutput "o" { value = 2 }\n', "drift")

    assert (same.has_changes, drift.find(same).is_any) == (False, False)
    assert other.has_changes
    assert [one.name for one in drift.find(other).outputs] == ["o"]
    assert drift.find(other).resources == ()
