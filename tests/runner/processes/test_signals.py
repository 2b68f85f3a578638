"""Waiting for signals in a process that is paused meanwhile."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import psutil

from tests.support.processes import Process, wait_until
from tests.support.project import ROOT

SCRIPT = """
import signal
from runner.processes import signals
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
while (heard := signals.wait_for({signal.SIGTERM}, 0.3)) is None:
    print("nothing", flush=True)
print(heard.name, flush=True)
"""


def test_a_pause_is_no_signal(tmp_path: Path) -> None:
    waiting = Process([sys.executable, "-c", SCRIPT], env={}, cwd=ROOT, log=tmp_path / "log")
    wait_until(lambda: "ready" in waiting.said(), "the script")
    for _ in range(3):
        waiting.signal(signal.SIGSTOP)
        wait_until(lambda: psutil.Process(waiting.pid).status() == "stopped", "it to be paused")
        time.sleep(0.5)
        before = waiting.said().count("nothing")
        waiting.signal(signal.SIGCONT)
        wait_until(lambda b=before: waiting.said().count("nothing") > b, "it to go on")  # type: ignore[misc]

    waiting.signal(signal.SIGTERM)

    assert waiting.wait() == 0
    assert waiting.said().splitlines()[-1] == "SIGTERM"
    assert {*waiting.said().splitlines()} == {"ready", "nothing", "SIGTERM"}
