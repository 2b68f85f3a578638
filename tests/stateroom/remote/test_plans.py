from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from backend.upkeep import installation
from tests.support.command_line import CommandLine
from tests.support.kept_plans import keep_plan
from tests.support.place import Place
from tests.support.plans import plan_json, resource

CANARY = "canary-3f9a1c77"
Keep = Callable[..., str]


@pytest.fixture
def kept(place: Place) -> Keep:
    """Keeps a plan with a run, whose id it returns."""

    def keep(content: bytes, *, has_changes: bool = True) -> str:
        run = place.queue("apply").id
        here = installation.existing(place._settings)
        try:
            keep_plan(here, run, content, has_changes=has_changes)
        finally:
            here.database.close()
        return run

    return keep


def test_a_plan_reads_as_people_know_plans(cli: CommandLine, kept: Keep) -> None:
    replaced = resource(
        "module.m.a.replaced[0]",
        actions=["delete", "create"],
        before={"id": "i-1", "size": 1, "tags": {"a b": "x"}, "list": [1, 2]},
        after={"size": 2, "tags": {"a b": "y"}, "list": [1]},
        after_unknown={"id": True},
        replace_paths=[["size"]],
    )
    updated = resource(
        "a.updated",
        actions=["update"],
        before={"password": CANARY, "old": "x"},
        after={"password": CANARY + "2", "new": "y"},
        before_sensitive={"password": True},
        after_sensitive={"password": True},
    )
    run = kept(
        plan_json(
            resource(
                "a.made",
                after={"name": "n", "none": None, "inner": {"list": ["x", CANARY]}},
                after_unknown={"id": True},
                after_sensitive={"inner": {"list": [False, True]}},
            ),
            resource("a.gone", actions=["delete"], before={"size": 1})
            | {"action_reason": "delete_because_no_resource_config"},
            replaced,
            updated,
            resource("a.same", actions=["no-op"], before={}, after={}),
            resource("a.moved", actions=["no-op"], before={}, after={})
            | {"previous_address": "a.old"},
            resource("a.left", actions=["forget"], before={}),
            output_changes={
                "o": {"actions": ["update"], "before": "1", "after": "2"},
                "s": {"actions": ["create"], "before": None, "after": 1, "after_sensitive": True},
            },
        )
    )

    assert cli.must("runs", "plan", run).splitlines() == [
        "  + a.made",
        '      + name = "n"',
        '      + inner.list[0] = "x"',
        "      + inner.list[1] = (sensitive value)",
        "      + id = (known after apply)",
        "  - a.gone (delete because no resource config)",
        "      - size = 1",
        "-/+ module.m.a.replaced[0]",
        '      ~ id = "i-1" -> (known after apply)',
        "      ~ size = 1 -> 2 # forces replacement",
        '      ~ tags["a b"] = "x" -> "y"',
        "      ~ list = [1, 2] -> [1]",
        "  ~ a.updated",
        "      ~ password = (sensitive value) -> (sensitive value)",
        '      - old = "x"',
        '      + new = "y"',
        "    a.moved (moved from a.old)",
        "  . a.left",
        "Outputs:",
        '~ o = "1" -> "2"',
        "+ s = (sensitive value)",
        (
            "Plan: 2 to add, 1 to change, 2 to destroy, 1 to move, 1 to forget, 2 outputs to "
            "change (1 replaced)."
        ),
    ]


def test_a_plan_without_changes_says_so(cli: CommandLine, place: Place, kept: Keep) -> None:
    run = kept(plan_json(resource(actions=["no-op"])), has_changes=False)

    assert cli.must("runs", "plan", run) == "No changes.\n"
    assert "a.b" in cli.must("runs", "plan", run, "--all")


def test_what_changed_outside_and_what_is_invoked_is_shown(cli: CommandLine, kept: Keep) -> None:
    trigger = {"triggering_resource_address": "a.b", "action_trigger_event": "AfterCreate"}
    run = kept(
        plan_json(
            resource_drift=[resource("a.d", actions=["update"], before={"n": 1}, after={"n": 2})],
            action_invocations=[{"address": "action.t.tell", "lifecycle_action_trigger": trigger}],
        )
    )

    assert cli.must("runs", "plan", run).splitlines() == [
        "Changed outside:",
        "  ~ a.d",
        "      ~ n = 1 -> 2",
        "! action.t.tell (AfterCreate of a.b)",
        "Plan: 0 to add, 0 to change, 0 to destroy, 1 to invoke.",
    ]


def test_every_page_is_read_and_filters_leave_the_counts_alone(
    cli: CommandLine, kept: Keep
) -> None:
    run = kept(plan_json(*(resource(f"a.b[{n}]", after={"n": n}) for n in range(450))))

    lines = cli.must("runs", "plan", run).splitlines()
    [found] = cli.json("runs", "plan", run)
    some = cli.must("runs", "plan", "latest", "--address", "a.b[44?]", "--action", "create")

    assert len([line for line in lines if line.startswith("  + ")]) == 450
    assert [one["address"] for one in found["resources"]] == [f"a.b[{n}]" for n in range(450)]
    assert some.count("  + a.b[44") == 10
    assert lines[-1] == some.splitlines()[-1] == "Plan: 450 to add, 0 to change, 0 to destroy."


def test_nothing_in_a_plan_reaches_the_terminal_as_a_command(cli: CommandLine, kept: Keep) -> None:
    evil = "\x1b]0;owned\x07\r\n"
    run = kept(
        plan_json(
            resource(f'a.b["{evil}"]', after={f"k{evil}": f"v{evil}", "m": {evil: [evil]}})
            | {"action_reason": evil, "previous_address": evil, "deposed": evil},
            output_changes={evil: {"actions": ["create"], "before": None, "after": evil}},
            action_invocations=[{"address": evil, "lifecycle_action_trigger": None}],
        )
    )

    shown = cli.must("runs", "plan", run)

    assert not {*shown} & {"\x1b", "\x07", "\r"}
    assert "\\x1b]0;owned\\x07" in shown


def test_the_json_of_the_tool_is_written_as_it_is(cli: CommandLine, kept: Keep) -> None:
    content = plan_json(resource(after={"x": CANARY}, after_sensitive={"x": True}))
    run = kept(content)

    assert cli.must("runs", "plan", run, "--raw-json").encode() == content
    assert CANARY not in cli.must("runs", "plan", run)
    assert CANARY not in json.dumps(cli.json("runs", "plan", run))
    assert cli.run("runs", "plan", run, "--raw-json", "--type", "a").exit_code == 2


def test_a_run_without_a_plan_says_why(cli: CommandLine, place: Place) -> None:
    run = place.queue("apply").id

    done = cli.run("runs", "plan", run)

    assert done.exit_code == 1
    assert "it is queued" in done.stderr
