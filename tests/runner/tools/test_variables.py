import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import ToolError
from runner.job import Variable
from runner.processes.workdir import WorkDir
from runner.tools import commands
from runner.tools.tool import Tool
from runner.tools.variables import may_be_ephemeral, var_file
from tests.support.plans import read_plan
from tests.support.tool_run import do, job, must, tool_named, write


def evaluated(
    used: Tool, short_root: Path, work_dir: WorkDir, types: Mapping[str, str], *given: Variable
) -> Any:
    """What the tool makes of the variables."""
    declared = "".join(f'variable "{name}" {{ {kind} }}\n' for name, kind in types.items())
    values = ", ".join(f"{name} = var.{name}" for name in types)
    write(work_dir.checkout, "main.tf", f'{declared}output "all" {{ value = {{ {values} }} }}\n')
    this = job(short_root, *given)
    must(commands.init(used, given), this, work_dir, used)
    must(commands.plan(used, "apply", work_dir.plan / "p", given), this, work_dir, used)
    showing = commands.show(used, work_dir.plan / "p", given)
    shown = json.loads(must(showing, this, work_dir, used).stdout)
    return shown["planned_values"]["outputs"]["all"]["value"]


def test_a_value_is_a_string_whatever_the_variable_is_declared_as(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    types = {"typed": "type = string", "untyped": "", "any": "type = any"}
    given = [Variable(name, "[1, 2] and ${more}") for name in types]

    values = evaluated(any_tool, short_root, work_dir, types, *given)

    assert values == dict.fromkeys(types, "[1, 2] and ${more}")


def test_an_expression_is_evaluated_whatever_the_variable_is_declared_as(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    types = {"typed": "type = list(number)", "untyped": "", "any": "type = any"}
    given = [Variable(name, "[1,\n 2 # two\n]", type="hcl") for name in types]

    values = evaluated(any_tool, short_root, work_dir, types, *given)

    assert values == {name: [1, 2] for name in types}


def test_a_value_of_the_workspace_wins_over_a_tfvars_file_of_the_repository(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "terraform.tfvars", 'name = "repository"')
    write(work_dir.checkout, "x.auto.tfvars", 'name = "repository"')

    values = evaluated(any_tool, short_root, work_dir, {"name": ""}, Variable("name", "workspace"))

    assert values == {"name": "workspace"}


def test_a_value_of_many_megabytes_arrives(short_root: Path, work_dir: WorkDir) -> None:
    used = tool_named("terraform")

    values = evaluated(used, short_root, work_dir, {"big": ""}, Variable("big", "x" * 2_000_000))

    assert len(values["big"]) == 2_000_000


NASTY = [
    '"',
    "\\",
    "${x}",
    "%{if}",
    "$${",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\x07",
    "é",
    "🎈",
    "EOT",
    "#",
    "\x7f",
]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.sampled_from(NASTY), max_size=8).map("".join), min_size=20, max_size=40)
)
def test_any_text_arrives_as_it_is(short_root: Path, work_dir: WorkDir, texts: list[str]) -> None:
    given = [Variable(f"v{number}", text) for number, text in enumerate(texts)]
    types = {variable.name: "type = string" for variable in given}

    values = evaluated(tool_named("terraform"), short_root, work_dir, types, *given)

    assert values == {variable.name: variable.value for variable in given}


def test_an_expression_cannot_set_another_variable(short_root: Path, work_dir: WorkDir) -> None:
    used = tool_named("terraform")
    write(work_dir.checkout, "main.tf", 'variable "a" {}\nvariable "b" { default = "" }')
    given = [Variable("a", '"x"\nb = "taken over"', type="hcl")]
    must(commands.init(used, []), job(short_root), work_dir, used)

    done = do(
        commands.plan(used, "plan", work_dir.plan / "p", given), job(short_root), work_dir, used
    )

    assert done.returncode == 1


@pytest.mark.parametrize("name", ["", "a b", "1a", 'a = "x"\nb', "a.b", "a\n"])
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    with pytest.raises(ToolError) as refused:
        var_file([Variable(name, "x")])

    assert refused.value.code == "variable-invalid"


def test_an_empty_expression_is_refused() -> None:
    with pytest.raises(ToolError, match="empty"):
        var_file([Variable("a", " \n", type="hcl")])


def test_no_variable_is_in_the_arguments_of_a_command(work_dir: WorkDir) -> None:
    used = tool_named("wheel")
    given = [Variable("token", "hunter2hunter2", sensitive=True)]

    made = [
        commands.init(used, given),
        commands.plan(used, "plan", work_dir.plan / "p", given),
        commands.apply(used, work_dir.plan / "p", given),
    ]

    assert "hunter2" not in repr(made)
    assert not [c for c in made if "hunter2" in " ".join(c.argv)]


def test_an_ephemeral_variable_is_given_to_apply_again(short_root: Path, work_dir: WorkDir) -> None:
    used = tool_named("terraform")
    given = [Variable("kept", "x"), Variable("fleeting", "y"), Variable("undeclared", "z")]
    this = job(short_root, *given)
    text = (
        'variable "kept" {}\nvariable "fleeting" { ephemeral = true }\noutput "o" { value = 1 }\n'
    )
    write(work_dir.checkout, "main.tf", text)
    plan_file = work_dir.plan / "plan"
    must(commands.init(used, given), this, work_dir, used)
    must(commands.plan(used, "apply", plan_file, given), this, work_dir, used)

    shown = must(commands.show(used, plan_file, given), this, work_dir, used).stdout
    missing = read_plan(shown).missing_variables

    assert missing == ("fleeting",)
    again = [variable for variable in given if variable.name in missing]
    must(commands.apply(used, plan_file, again), this, work_dir, used)


@pytest.mark.parametrize(
    ("name", "text", "asked"),
    [
        ("main.tf", 'variable "x" { ephemeral = true }', True),
        ("x.tf.json", r'{"variable": {"x": {"ephemera\u006c": true}}}', True),
        ("x.tf.json", '{"variable": {"x": {}}}', False),
        ("main.tf", 'variable "x" {}', False),
        ("terraform.tfvars", 'x = "ephemeral"', False),
    ],
)
def test_only_sources_that_may_declare_ephemeral_variables_make_us_ask_the_tool(
    short_root: Path, name: str, text: str, *, asked: bool
) -> None:
    write(short_root, name, text)

    assert may_be_ephemeral(short_root, tool_named("terraform")) is asked


@pytest.mark.parametrize(
    ("declared", "variable", "expected"),
    [
        ("type = number", Variable("x", "-2.5e3", type="number"), -2500),
        ("", Variable("x", "-2.5e3", type="number"), -2500),
        ("type = bool", Variable("x", "true", type="bool"), True),
        ("", Variable("x", "true", type="bool"), True),
        ("", Variable("x", "true"), "true"),
        ("type = string", Variable("x", "5", type="number"), "5"),
    ],
)
def test_numbers_and_bools_are_no_strings(
    any_tool: Tool,
    short_root: Path,
    work_dir: WorkDir,
    declared: str,
    variable: Variable,
    expected: object,
) -> None:
    values = evaluated(any_tool, short_root, work_dir, {"x": declared}, variable)

    assert values == {"x": expected}
    assert type(values["x"]) is type(expected)
