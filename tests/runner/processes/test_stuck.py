"""A child that hangs between fork and exec."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.project import ROOT

# the first fork hangs, as on a lock that another thread held
SCRIPT = """
import os, sys, threading, time
from pathlib import Path
from runner.processes import process, stuck

hung = Path(sys.argv[1]) / "hung"

def hang():
    if not hung.exists():
        hung.touch()
        time.sleep(600)

def watch():
    while True:
        time.sleep(0.1)
        stuck.end(0.3)

os.register_at_fork(after_in_child=hang)
threading.Thread(target=watch, daemon=True).start()
said = process.capture(
    ["echo", "hello"], env={"PATH": os.environ["PATH"]}, cwd=hung.parent, deadline=20
)
print(said.stdout, stuck.end(0))
"""


def test_a_command_that_hung_before_its_exec_is_started_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "b'hello\\n' 0\n", done.stderr
    assert (tmp_path / "hung").exists()
