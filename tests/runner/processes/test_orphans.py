"""In a process of its own: who adopts orphans has to be nobody else's parent."""

from __future__ import annotations

import subprocess
import sys

from tests.support.project import ROOT

SCENE = """
import subprocess, time
from pathlib import Path
from runner.processes import orphans

def alive(seconds):
    count = 0
    for folder in Path("/proc").iterdir():
        try:
            count += (folder / "cmdline").read_bytes() == f"sleep\\0{seconds}\\0".encode()
        except OSError:
            pass  # gone, or no process
    return count

def leave(seconds):
    subprocess.run(["sh", "-c", f"env -i setsid sh -c 'sleep {seconds} & sleep {seconds}' &"])
    while alive(seconds) < 2:
        time.sleep(0.01)

orphans.adopt()
leave("7001.25")
time.sleep(0.1)
begun = orphans.clock()
time.sleep(0.1)
leave("7002.25")

for _ in range(20):
    orphans.kill(lambda: begun)
    time.sleep(0.02)
print(alive("7001.25"), alive("7002.25"))
for _ in range(20):
    orphans.kill(orphans.clock)
    time.sleep(0.02)
print(alive("7002.25"), orphans.kill(orphans.clock))
"""


def test_what_left_everything_behind_ends_when_no_run_at_work_can_have_started_it() -> None:
    argv = [sys.executable, "-c", SCENE]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["0 2", "0 0"]
