import json
from pathlib import Path

from runner.job import Variable
from runner.processes.workdir import WorkDir
from runner.tools import commands
from runner.tools.tool import Tool
from tests.support.tool_run import do, job, must, write


def test_the_commands_of_a_run_work_in_the_sandbox(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    variable = Variable("name", "Ann")
    this = job(short_root, variable, sandbox="auto")
    write(work_dir.checkout, "main.tf", MODULE)
    plan_file = work_dir.plan / "plan"

    must(commands.init(any_tool, [variable]), this, work_dir, any_tool)
    changes = must(
        commands.plan(any_tool, "apply", plan_file, [variable]), this, work_dir, any_tool
    )
    showing = commands.show(any_tool, plan_file, [variable])
    shown = json.loads(must(showing, this, work_dir, any_tool).stdout)
    must(commands.apply(any_tool, plan_file), this, work_dir, any_tool)
    outputs = json.loads(must(commands.output(any_tool, []), this, work_dir, any_tool).stdout)
    nothing = must(
        commands.plan(any_tool, "apply", plan_file, [variable]), this, work_dir, any_tool
    )
    gone = must(commands.plan(any_tool, "destroy", plan_file, [variable]), this, work_dir, any_tool)

    assert [done.returncode for done in (changes, nothing, gone)] == [2, 0, 2]
    assert shown["resource_changes"][0]["change"]["actions"] == ["create"]
    assert outputs["greeting"]["value"] == "hello Ann"
    assert (
        work_dir.data / "terraform.tfstate"
    ).exists() is False  # a local state: no backend record
    assert not (work_dir.checkout / ".terraform").exists()


MODULE = """
variable "name" { type = string }
resource "terraform_data" "one" { input = var.name }
output "greeting" { value = "hello ${terraform_data.one.output}" }
"""


def test_a_module_cannot_read_the_key_ring_during_a_run(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(short_root, "keyring", "the key")
    write(work_dir.checkout, "main.tf", f'output "o" {{ value = file("{short_root}/keyring") }}')
    this = job(short_root)
    must(commands.init(any_tool, []), this, work_dir, any_tool)

    done = do(commands.plan(any_tool, "plan", work_dir.plan / "p", []), this, work_dir, any_tool)

    assert done.returncode == 1
    assert b"the key" not in done.stdout + done.stderr


def test_an_init_as_locked_leaves_the_lock_file_alone(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "main.tf", "")
    init = commands.as_locked(commands.init(any_tool, [Variable("x", "y")]), any_tool)

    assert init.argv[len(any_tool.argv) :][:2] == ("init", "-lockfile=readonly")
    must(init, job(short_root), work_dir, any_tool)
