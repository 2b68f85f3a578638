from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.processes import room
from runner.processes.process import Captured
from runner.processes.workdir import WorkDir
from runner.tools import commands
from runner.tools.environment import terms
from runner.tools.failures import Diagnosis
from runner.tools.tool import Tool
from tests.support.tool_run import do, job, must, tool_named, write


def failure(step: commands.StepName, done: Captured) -> ToolError:
    diagnosis = Diagnosis()
    for byte in done.stdout + done.stderr:
        diagnosis.feed(bytes([byte]))
    return diagnosis.failure("terraform", step, done.returncode)


def test_an_error_names_what_is_wrong_and_where(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "main.tf", '\noutput "o" { value = local.nowhere }\n')
    this = job(short_root)
    must(commands.init(any_tool, []), this, work_dir, any_tool)

    done = do(commands.plan(any_tool, "plan", work_dir.plan / "p", []), this, work_dir, any_tool)
    error = failure("plan", done)

    assert error.code == "plan-failed"
    assert "Reference to undeclared local value (main.tf line 2)" in error.message


def test_an_error_at_init_names_what_is_wrong_and_not_that_something_is(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "main.tf", 'module "m" {\n  nothing = 1\n}\n')

    done = do(commands.init(any_tool, []), job(short_root), work_dir, any_tool)

    error = failure("init", done)
    assert error.code == "init-failed"
    assert "Missing required argument (main.tf line 1)" in error.message


def test_a_stale_plan_is_told_from_other_failures(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "main.tf", 'resource "terraform_data" "one" {}')
    this = job(short_root)
    must(commands.init(any_tool, []), this, work_dir, any_tool)
    for name in ("first", "second"):
        must(commands.plan(any_tool, "apply", work_dir.plan / name, []), this, work_dir, any_tool)
    must(commands.apply(any_tool, work_dir.plan / "first"), this, work_dir, any_tool)

    done = do(commands.apply(any_tool, work_dir.plan / "second"), this, work_dir, any_tool)

    assert failure("apply", done).code == "plan-stale"


def test_a_held_lock_is_told_from_other_failures(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "main.tf", HOLDS_THE_LOCK)
    this = job(short_root)
    must(commands.init(any_tool, []), this, work_dir, any_tool)
    must(commands.plan(any_tool, "apply", work_dir.plan / "p", []), this, work_dir, any_tool)
    with room.opened(work_dir, terms(any_tool, this)) as made:
        inner = commands.apply(any_tool, made.seen.plan / "p").argv
    impatient = [word for word in inner if not word.startswith("-lock-timeout")]
    write(
        work_dir.checkout,
        "again.sh",
        " ".join(f"'{word}'" for word in impatient) + " >again.log 2>&1",
    )

    do(commands.apply(any_tool, work_dir.plan / "p"), this, work_dir, any_tool)
    said = (work_dir.checkout / "again.log").read_bytes()

    assert failure("apply", Captured(1, b"", said)).code == "state-locked"


HOLDS_THE_LOCK = """
resource "terraform_data" "one" {
  provisioner "local-exec" { command = "sh ./again.sh || true" }
}
"""


def test_a_missing_variable_is_told_from_other_failures(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    write(work_dir.checkout, "main.tf", 'variable "name" {}')
    must(commands.init(any_tool, []), job(short_root), work_dir, any_tool)

    done = do(
        commands.plan(any_tool, "plan", work_dir.plan / "p", []),
        job(short_root),
        work_dir,
        any_tool,
    )

    assert failure("plan", done).code == "variable-missing"


def test_an_unsupported_version_is_told_from_other_failures(
    short_root: Path, work_dir: WorkDir
) -> None:
    used = tool_named("terraform")
    write(work_dir.checkout, "main.tf", 'terraform { required_version = "< 1.0" }')

    done = do(commands.init(used, []), job(short_root), work_dir, used)

    assert failure("init", done).code == "version-unsupported"


def test_a_provider_that_cannot_be_had_is_told_from_other_failures(
    short_root: Path, work_dir: WorkDir
) -> None:
    used = tool_named("terraform")
    (short_root / "mirror" / "example.org" / "acme" / "thing").mkdir(parents=True)
    wanted = '{\n thing = { source = "example.org/acme/thing" }\n}'
    write(work_dir.checkout, "main.tf", f"terraform {{\n required_providers {wanted}\n}}\n")
    this = job(short_root, provider_mirror=short_root / "mirror")

    done = do(commands.init(used, []), this, work_dir, used)

    assert failure("init", done).code == "provider-unavailable"


@pytest.mark.parametrize(
    ("step", "said", "code"),
    [
        ("apply", "Error: Failed to save state\n\nError saving state\n", "state-write-failed"),
        ("plan", "Error: Error releasing the state lock\n\nError message: x\n", "unlock-failed"),
        (
            "plan",
            "Error: Error acquiring the state lock\n\nError message: Failed to lock: LOCK\nhttp://x",
            "server-unavailable",
        ),
        (
            "init",
            "Error: Error refreshing state: Failed to get state: GET http://x giving up after 3\n",
            "server-unavailable",
        ),
    ],
)
def test_what_the_backend_did_is_told_from_other_failures(
    step: commands.StepName, said: str, code: str
) -> None:
    assert failure(step, Captured(1, said.encode(), b"")).code == code


def test_an_error_that_is_a_fault_of_the_sources_too_is_told_as_that() -> None:
    diagnosis = Diagnosis()

    diagnosis.feed(b"Error: Odd thing\n\nError: Error releasing the state lock\n")
    error = diagnosis.failure("terraform", "plan", 1)

    assert error.code == "plan-failed"
    assert error.summaries == ("Odd thing", "Error releasing the state lock")


@pytest.mark.parametrize(
    ("returncode", "said", "code", "message"),
    [
        (-9, b"", "apply-failed", "SIGKILL, maybe because there was not enough memory"),
        (5, b"", "apply-failed", "ended with code 5"),
        (2, b"panic: runtime error\n", "tool-crashed", "it crashed"),
        (
            1,
            "│ Error: Odd thing\n│ \n│   on a.tf line 7:\n".encode(),
            "apply-failed",
            "(a.tf line 7)",
        ),
        (1, b"Error: no newline", "apply-failed", "no newline"),
        (126, b"exec: /opt/real: Permission denied", "tool-hidden", "in the sandbox"),
        (127, b"exec: /opt/real: not found", "tool-hidden", "the sandbox"),
    ],
)
def test_every_end_has_a_code_and_a_line_for_people(
    returncode: int, said: bytes, code: str, message: str
) -> None:
    error = failure("apply", Captured(returncode, said, b""))

    assert error.code == code
    assert message in error.message


def test_what_a_provider_says_is_a_line_that_can_be_stored_and_shown() -> None:
    diagnosis = Diagnosis()

    diagnosis.feed(b"Error: a\0b\x1b[2Jc \xff\n")

    message = diagnosis.failure("terraform", "apply", 1).message
    assert message == "terraform apply failed: a b [2Jc \ufffd."
