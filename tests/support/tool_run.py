"""A tool in the environment and sandbox of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.job import Backend, Job, Source, Variable
from runner.processes import room
from runner.processes.process import Captured, capture
from runner.processes.workdir import WorkDir
from runner.tools.commands import Command
from runner.tools.environment import environment, terms
from runner.tools.tool import Tool, available

BACKEND = Backend("http://state", "http://state", "http://state", "run", "run-password")


def tool_named(name: str) -> Tool:
    """`terraform` and `tofu` from PATH, which may be without; `wheel` is the one in the wheel."""
    fits = {"terraform": ("terraform", "PATH"), "wheel": ("terraform", "wheel")}
    wanted = fits.get(name, ("tofu", "PATH"))
    found = [tool for tool in available(None) if (tool.name, tool.origin) == wanted]
    if not found and name != "wheel":
        pytest.skip(f"{name} is not on PATH; the Terraform in the wheel is always tested")
    return found[0]


def job(root: Path, *variables: Variable, **more: Any) -> Job:
    return Job(
        run_id="run",
        operation="apply",
        source=Source("https://example.org/x.git"),
        backend=BACKEND,
        variables=variables,
        work_root=root / "work",
        **more,
    )


def do(command: Command, job: Job, work: WorkDir, used: Tool) -> Captured:
    """Run a command in a room of its own; paths in the run's folder are as the worker sees them."""
    with room.opened(work, terms(used, job)) as made:
        ours, seen = str(work.root), str(made.seen.root)
        return capture(
            [word.replace(ours, seen) for word in command.argv],
            env=environment(job, work, made).values,
            cwd=made.inside(work.checkout),
            deadline=60,
            stdin=command.stdin,
            room=made,
        )


def must(command: Command, job: Job, work: WorkDir, used: Tool) -> Captured:
    """Run it, and expect no error."""
    done = do(command, job, work, used)
    assert done.returncode in (0, 2), done.stdout + done.stderr
    return done


def write(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content, encoding="utf-8")
