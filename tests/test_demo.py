"""`make demo`, as a newcomer sees it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from tests.support.processes import Process, kill_all, wait_until
from tests.support.project import ROOT

DEMO = [sys.executable, "-u", str(ROOT / "examples" / "demo.py")]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Process]:
    """A demo that goes on until it is stopped."""
    running = Process(DEMO, env=environment(tmp_path), cwd=tmp_path, log=tmp_path / "demo.log")
    yield running
    family = running.descendants()
    if running.running:
        running.signal(signal.SIGINT)
        assert running.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=30)
    kill_all(alive)
    assert not alive, running.said()


def test_once_ends_by_itself_and_shows_the_whole_line(tmp_path: Path) -> None:
    done = once(environment(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("clone", "detect", "override", "init", "plan", "apply", "collect"):
        assert f"== {step}\n" in done.stdout
    assert "Verdict: none" in done.stdout
    assert "as zz_backend_override.t" in done.stdout
    assert re.search(r"^version 1, serial 1, lineage [0-9a-f-]{36}$", done.stdout, re.MULTILINE)
    assert 'output greeting = "Hello, world!"' in done.stdout


def test_without_a_tool_on_path_it_runs_the_terraform_of_the_extra_and_names_its_licence(
    tmp_path: Path, path_without_tools: str
) -> None:
    done = once(environment(tmp_path) | {"PATH": path_without_tools})

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Terraform 1\.\d+\.\d+ from the\nextra stateroom\[terraform\]", done.stdout)
    assert "BUSL-1.1" in done.stdout


def test_the_printed_snippet_opens_the_state_from_another_folder(
    tmp_path: Path, demo: Process
) -> None:
    wait_until(lambda: "Ctrl-C stops it" in demo.said(), "the demo", seconds=120)
    snippet = demo.said().split("Open it from another folder")[1].split("\n── The server")[0]
    script = snippet.split("\n", 1)[1]

    done = shell(script, environment(tmp_path))

    assert done.returncode == 0, done.stderr
    assert '"lineage"' in done.stdout
    lineage = re.search(r"lineage ([0-9a-f-]{36})", demo.said())
    assert lineage
    assert lineage.group(1) in done.stdout


def test_two_demos_run_side_by_side(tmp_path: Path, demo: Process) -> None:
    wait_until(lambda: "Ctrl-C stops it" in demo.said(), "the first demo", seconds=120)

    second = once(environment(tmp_path))

    assert second.returncode == 0, second.stdout + second.stderr
    assert demo.running


def once(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--once"], env=env, capture_output=True, text=True, timeout=150, check=False
    )


def shell(script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-ec", script], env=env, capture_output=True, text=True, timeout=60, check=False
    )


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {**kept, "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}


@pytest.fixture
def path_without_tools() -> Iterator[str]:
    """Everything that the demo may need, and neither terraform nor tofu; runs may read it."""
    with TemporaryDirectory(prefix="path-") as folder:
        Path(folder).chmod(0o755)
        for name in ("git", "sh", "sleep", "uname", "cat", "mktemp"):
            found = shutil.which(name)
            if found:
                (Path(folder) / name).symlink_to(found)
        yield folder
