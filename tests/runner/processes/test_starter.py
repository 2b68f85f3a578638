"""The small process that starts commands: what they inherit, and what becomes of them without it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from runner.processes import process, starter
from runner.processes.process import Captured
from tests.support.project import ROOT

ENV = {"PATH": os.environ["PATH"]}

# a copy of a process that has started commands, made by fork, starts one too
FORKED = """
import os, sys
from pathlib import Path
from runner.processes import process, starter

def say(word):
    here = Path("/")
    return process.capture(["echo", word], env={"PATH": os.environ["PATH"]}, cwd=here, deadline=60)

say("first")
ours = starter.pid()
if os.fork() == 0:
    said = say("copy").stdout
    os._exit(0 if said == b"copy\\n" and starter.pid() != ours else 1)
_, status = os.wait()
print(status, say("last").stdout, starter.pid() == ours)
"""

# not in this process: it has children of other tests
SPARED = """
import os
from pathlib import Path
from runner.processes import orphans, process, starter

def say(word):
    here = Path("/")
    return process.capture(["echo", word], env={"PATH": os.environ["PATH"]}, cwd=here, deadline=60)

say("first")
before = starter.pid()
orphans.kill(lambda: orphans.clock() + 60)
print(say("alive").stdout, starter.pid() == before)
"""


def shell(script: str, folder: Path) -> Captured:
    return process.capture(["sh", "-c", script], env=ENV, cwd=folder, deadline=60)


def test_a_command_inherits_nothing_but_its_streams_and_the_reading_ends(tmp_path: Path) -> None:
    secret = os.open(tmp_path, os.O_RDONLY)

    said = shell("readlink /proc/self/fd/* | sort", tmp_path).stdout.decode().split()

    os.close(secret)
    of_its_own = [name for name in said if not name.startswith(("pipe:", "/dev/null"))]
    assert all("/proc/" in name for name in of_its_own), said
    assert len([name for name in said if name.startswith("pipe:")]) <= 5  # the shell's one too


def test_commands_start_after_their_starter_was_killed(tmp_path: Path) -> None:
    shell("true", tmp_path)
    killed = starter.pid()
    assert killed is not None

    os.kill(killed, signal.SIGKILL)

    assert shell("echo again", tmp_path).stdout == b"again\n"
    assert starter.pid() != killed


def test_a_command_whose_starter_is_killed_is_interrupted_and_has_an_end(tmp_path: Path) -> None:
    def kill(_said: bytes) -> None:
        pid = starter.pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    script = "trap 'touch saved; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    done = process.run(
        ["sh", "-c", script], env=ENV, cwd=tmp_path, output=kill, deadline=60
    )  # fmt: skip

    assert (tmp_path / "saved").exists()
    assert done.returncode != 0


def test_a_copy_of_a_process_starts_commands_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout == "0 b'last\\n' True\n", done.stderr


def test_the_starter_is_no_orphan() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPARED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout == "b'alive\\n' True\n", done.stderr
