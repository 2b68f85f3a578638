"""The benches still run. What they measure is for people: no test asserts a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT
from tests.support.required import required

BENCH = ROOT / "bench"
LINES = {
    "in_process": ("GET in process", "POST in process", "LOCK and UNLOCK in process"),
    "states": ("POST 100 KB, 8 clients", "LOCK, UNLOCK, 1 client", "p99 of GET", "read with"),
    "memory": ("the idle process", "memory of POST", "memory of GET", "GET, 5 MB incompressible"),
    "listing": ("20 workspaces", "10 locks", "a page of workspaces", "a page of locks"),
    "rewrap": ("re-wrapped", "p50 of POST 100 KB beside it", "p99 of POST"),
    "viewers": ("p99 of GET while they join", "p99 of GET with them", "statements for 20 viewers"),
    "pages": ("/projects/bench/workspaces/w0", "/search"),
    "pages_log": (
        *("first line, run ended", "first line, run live", "between frames, the log"),
        *("to the end", "all of it searched", "p99 of GET with them"),
    ),
    "diff": ("diff, 1 of 100 changed", "memory of it, all changed"),
    "providers": ("warm init, terraform, 100 MB", "written into the folder of a run"),
    "runs": ("from POST to the tool, filesystem", "a whole run, terraform", "worker memory"),
}


def run(name: str, *options: str, otherwise: Path) -> str:
    """What it prints; `otherwise`: a folder of tools for a machine that has none on PATH."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, str(BENCH / f"{name}.py"), *options],
        env={**given, "PATH": f"{given['PATH']}:{otherwise}"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", LINES)
def test_a_quick_bench_prints_all_of_its_lines(name: str, terraform_in_wheel: Path) -> None:
    if name == "pages_log":
        required("chromium")
    lines = run(name, "--quick", otherwise=terraform_in_wheel.parent).splitlines()

    assert [start for start in LINES[name] if not any(x.startswith(start) for x in lines)] == []
