"""What a plan says, by the real tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.job import Variable
from runner.plans.hiding import HIDDEN
from runner.processes.workdir import WorkDir
from runner.tools.tool import Tool
from tests.support.plans import (
    Planning,
    change_of,
    counts,
    plan_json,
    read_plan,
    resource,
    values_of,
)
from tests.support.tool_run import tool_named

CANARY = "canary-3f9a1c77"


@pytest.fixture
def planning(any_tool: Tool, short_root: Path, work_dir: WorkDir) -> Planning:
    return Planning(any_tool, short_root, work_dir)


def many(count: int, value: str = '"x"') -> str:
    return f'resource "terraform_data" "many" {{\n count = {count}\n input = {value}\n}}\n'


def test_a_secret_that_is_a_count_does_not_hide_the_count(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    size = Variable("size", "100", sensitive=True)
    planning = Planning(any_tool, short_root, work_dir, size)
    configuration = 'variable "size" { sensitive = true }\n' + many(100, "var.size")
    planning.apply(configuration)

    plan = planning.plan(configuration, "destroy")

    assert plan.summary["destroy"] == 100
    assert len(plan.deletions()) == 100
    assert values_of(plan, "terraform_data.many[7]").before["input"] == HIDDEN


def test_nothing_to_do_counts_nothing(planning: Planning) -> None:
    planning.apply(many(2))

    plan = planning.plan(many(2))

    assert counts(plan) == {}
    assert not plan.has_changes
    assert [change.action for change in plan.resources] == ["no-op", "no-op"]
    assert not any(change.is_change for change in plan.resources)


def test_a_resource_that_is_forgotten_counts(planning: Planning) -> None:
    planning.apply(many(1))

    plan = planning.plan(
        "removed {\n from = terraform_data.many\n lifecycle { destroy = false }\n}\n"
    )

    assert counts(plan) == {"forget": 1}
    assert plan.has_changes
    assert plan.deletions() == ()


def test_a_resource_that_is_imported_counts(planning: Planning) -> None:
    planning.apply(many(1, "null"))
    known = planning.state()["resources"][0]["instances"][0]["attributes"]["id"]
    planning.apply("removed {\n from = terraform_data.many\n lifecycle { destroy = false }\n}\n")

    plan = planning.plan(f'import {{\n to = terraform_data.many[0]\n id = "{known}"\n}}\n{many(1)}')

    assert counts(plan) == {"import": 1, "change": 1}
    assert change_of(plan, "terraform_data.many[0]").importing == known


def test_a_resource_that_is_moved_counts(planning: Planning) -> None:
    planning.apply('resource "terraform_data" "old" {}\n')

    plan = planning.plan(
        "moved {\n from = terraform_data.old\n to = terraform_data.new\n}\n"
        'resource "terraform_data" "new" {}\n'
    )

    assert counts(plan) == {"move": 1}
    assert plan.has_changes
    moved = change_of(plan, "terraform_data.new")
    assert (moved.previous_address, moved.action, moved.is_change) == (
        "terraform_data.old",
        "no-op",
        True,
    )


def test_outputs_that_change_count_and_their_values_are_read(planning: Planning) -> None:
    planning.apply('output "a" { value = "1" }\noutput "gone" { value = "1" }\n')

    plan = planning.plan('output "a" { value = "2" }\noutput "new" { value = [1] }\n')

    assert counts(plan) == {"outputs": 3}
    assert plan.has_changes
    read = {output.name: (output.action, plan.output(output)) for output in plan.outputs}
    assert {name: action for name, (action, _) in read.items()} == {
        "a": "update",
        "gone": "delete",
        "new": "create",
    }
    assert (read["a"][1].before, read["a"][1].after) == ("1", "2")


def test_a_data_source_that_is_read_by_the_apply_counts(planning: Planning) -> None:
    plan = planning.plan(
        'resource "terraform_data" "new" {}\n'
        'data "terraform_remote_state" "later" {\n backend = "local"\n'
        ' config = { path = "${terraform_data.new.id}.tfstate" }\n}\n'
    )

    assert counts(plan) == {"add": 1, "read": 1}
    later = change_of(plan, "data.terraform_remote_state.later")
    assert (later.mode, later.action, later.reason) == (
        "data",
        "read",
        "read_because_config_unknown",
    )
    assert ("config", "path") in plan.values(later).unknown


def test_a_replacement_says_why_and_counts_as_the_tool_counts_it(planning: Planning) -> None:
    text = 'resource "terraform_data" "r" {{\n input = 1\n triggers_replace = ["a", "{}"]\n}}\n'
    planning.apply(text.format("b"))

    plan = planning.plan(text.format("c"))

    assert counts(plan) == {"add": 1, "destroy": 1, "replace": 1}
    assert "1 to add, 0 to change, 1 to destroy" in planning.text
    replaced = change_of(plan, "terraform_data.r")
    assert (replaced.action, replaced.actions) == ("replace", ("delete", "create"))
    assert replaced.reason == "replace_because_cannot_update"
    values = plan.values(replaced)
    assert values.replace == (("triggers_replace",),)
    assert set(values.unknown) == {("id",), ("output",)}
    assert ("triggers_replace", 1) in values.changed
    assert ("triggers_replace", 0) not in values.changed
    assert plan.deletions() == ("terraform_data.r",)


def test_sensitive_parts_are_hidden_and_the_rest_is_shown(planning: Planning) -> None:
    plan = planning.plan(
        f'variable "s" {{\n sensitive = true\n default = "{CANARY}"\n}}\n'
        'resource "terraform_data" "r" {\n'
        '  input = { plain = "seen", list = ["a", var.s], inner = { key = var.s, n = 1 } }\n}\n'
        'output "o" {\n value = { a = var.s }\n sensitive = true\n}\n'
    )

    values = values_of(plan, "terraform_data.r")
    assert values.after["input"] == {
        "plain": "seen",
        "list": ["a", HIDDEN],
        "inner": {"key": HIDDEN, "n": 1},
    }
    assert set(values.sensitive) == {("input", "list", 1), ("input", "inner", "key")}
    assert plan.output(plan.outputs[0]).after == HIDDEN
    assert plan.sensitive == {CANARY}


def test_a_sensitive_value_is_hidden_where_a_provider_lost_its_mark(planning: Planning) -> None:
    configuration = (
        f'variable "s" {{\n sensitive = true\n default = "{CANARY}"\n}}\n'
        'resource "terraform_data" "r" { input = var.s }\n'
    )
    planning.apply(configuration)

    plan = planning.plan(configuration, "destroy")

    values = values_of(plan, "terraform_data.r")
    assert CANARY.encode() in planning.json
    assert CANARY not in repr(values)
    assert values.before["output"] == HIDDEN


def test_a_variable_that_is_sensitive_here_only_is_hidden_as_well(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    given = [
        Variable("plain", CANARY, sensitive=True),
        Variable("list", f'["{CANARY}-in-hcl"]', type="hcl", sensitive=True),
    ]
    planning = Planning(any_tool, short_root, work_dir, *given)

    plan = planning.plan(
        'variable "plain" {}\nvariable "list" {}\n'
        'resource "terraform_data" "r" {\n'
        '  input = { alone = var.plain, within = "a ${var.plain} b", all = var.list,\n'
        '    code = base64encode(var.plain), (var.plain) = "a key" }\n}\n'
        'resource "terraform_data" "s" {\n input = { within = "a ${var.plain} b" }\n}\n'
        'output "o" { value = "${var.plain}:1" }\n'
    )

    shown = repr([plan.values(change) for change in plan.resources])
    shown += repr([plan.output(output) for output in plan.outputs])
    assert CANARY not in shown
    assert values_of(plan, "terraform_data.s").after["input"] == {"within": "a *** b"}
    assert counts(plan) == {"add": 2, "outputs": 1}


def test_an_ephemeral_variable_is_named_because_the_apply_needs_it_again(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    given = [Variable("kept", "x"), Variable("fleeting", "y")]
    planning = Planning(any_tool, short_root, work_dir, *given)

    plan = planning.plan(
        'variable "kept" {}\nvariable "fleeting" { ephemeral = true }\noutput "o" { value = 1 }\n'
    )

    assert plan.missing_variables == ("fleeting",)


def test_an_encrypted_plan_is_read(short_root: Path, work_dir: WorkDir) -> None:
    passphrase = Variable("passphrase", "a-long-passphrase-here", sensitive=True)
    planning = Planning(tool_named("tofu"), short_root, work_dir, passphrase)

    plan = planning.plan(
        'variable "passphrase" { sensitive = true }\n'
        "terraform {\n  encryption {\n"
        '    key_provider "pbkdf2" "k" { passphrase = var.passphrase }\n'
        '    method "aes_gcm" "m" { keys = key_provider.pbkdf2.k }\n'
        "    plan { method = method.aes_gcm.m }\n  }\n}\n" + many(2)
    )

    assert b"encrypted_data" in (work_dir.plan / "plan").read_bytes()
    assert counts(plan) == {"add": 2}


def test_actions_that_are_invoked_count() -> None:
    invocation = {
        "address": "action.aws_lambda_invoke.tell",
        "type": "aws_lambda_invoke",
        "name": "tell",
        "provider_name": "registry.terraform.io/hashicorp/aws",
        "config_values": {"payload": CANARY},
        "lifecycle_action_trigger": {
            "triggering_resource_address": "a.b",
            "action_trigger_event": "AfterCreate",
            "action_trigger_block_index": 0,
            "actions_list_index": 0,
        },
    }

    plan = read_plan(plan_json(resource(), action_invocations=[invocation]))

    assert counts(plan) == {"add": 1, "actions": 1}
    trigger = plan.invocations[0].lifecycle_action_trigger
    assert trigger is not None
    assert (trigger.triggering_resource_address, trigger.action_trigger_event) == (
        "a.b",
        "AfterCreate",
    )


def test_what_changed_outside_is_read_with_its_attributes() -> None:
    drifted = resource(actions=["update"], before={"n": 1, "m": 1}, after={"n": 2, "m": 1})
    same = resource("a.c", actions=["no-op"], before={"n": 1}, after={"n": 1})

    plan = read_plan(plan_json(resource_drift=[drifted, same]))

    assert [change.address for change in plan.drift] == ["a.b"]
    assert plan.values(plan.drift[0]).changed == (("n",),)
    assert counts(plan) == {}


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        (["delete", "create"], {"add": 1, "destroy": 1, "replace": 1}),
        (["create", "delete"], {"add": 1, "destroy": 1, "replace": 1}),
        (["forget", "create"], {"add": 1, "forget": 1, "replace": 1}),
        (["delete"], {"destroy": 1}),
        (["no-op"], {}),
    ],
)
def test_each_action_counts(actions: list[str], expected: dict[str, int]) -> None:
    assert counts(read_plan(plan_json(resource(actions=actions)))) == expected


def test_resources_that_live_for_a_command_only_are_no_changes() -> None:
    opened = resource(actions=["Open"]) | {"mode": "ephemeral"}

    plan = read_plan(plan_json(opened))

    assert counts(plan) == {}
    assert not plan.resources[0].is_change


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"resource_changes": []}',
        b'{"format_version": "7.0"}',
        b'{"format_version": "1.0", "resource_changes": {}}',
        b'{"format_version": "1.0", "resource_changes": [{}]}',
        b'{"format_version": "1.0", "resource_changes": [' + b"[" * 5000 + b"]" * 5000 + b"]}",
        plan_json(resource()).replace(b"a.b", b"\xff.b"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(content: bytes) -> None:
    with pytest.raises(ToolError) as refused:
        read_plan(content)

    assert refused.value.code == "plan-json-unreadable"


def test_a_number_that_no_float_can_hold_is_its_text() -> None:
    content = plan_json(resource(after={"n": 7})).replace(b'"n": 7', b'"n": 1e400')

    assert values_of(read_plan(content), "a.b").after == {"n": "1e400"}


def test_the_json_is_given_out_as_the_tool_wrote_it() -> None:
    content = plan_json(resource(after={"text": "x" * 3_000_000}))

    plan = read_plan(content)

    assert b"".join(plan.raw()) == content
    assert plan.size == len(content)
    assert json.loads(content)["format_version"] == "1.2"
