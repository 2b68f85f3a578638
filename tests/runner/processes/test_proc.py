"""Who started whom."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from runner.processes import proc


def test_a_process_descends_from_itself_its_parent_and_so_on() -> None:
    pids = []
    with subprocess.Popen(
        ["sh", "-c", "sh -c 'echo $$; cat; true'; true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        pids = [os.getpid(), child.pid, int(child.stdout.readline())]

        of_child = proc.descends_from(child.pid)
        descends = [of_child(pid) for pid in pids]
        of_us = proc.descends_from(os.getpid())
        all_descend = [of_us(pid) for pid in pids]
        child.communicate("")

    assert descends == [False, True, True]
    assert all_descend == [True, True, True]
    assert of_us(pids[-1]) is False


def test_a_daemon_that_lost_its_parent_descends_from_it_no_more() -> None:
    script = "setsid sh -c 'echo $$; exec sleep 60' & read line"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin
        assert child.stdout
        daemon = int(child.stdout.readline())
        descends = proc.descends_from(child.pid)
        before = descends(daemon)
        child.stdin.close()
        child.wait()
        after = descends(daemon)
        os.kill(daemon, signal.SIGKILL)

    assert (before, after) == (True, False)


def test_a_number_that_was_given_to_somebody_else_is_not_the_ancestor() -> None:
    begun = proc.status(os.getpid()).started

    line = list(proc.ancestry(os.getpid()))

    assert (line[0][0], line[0][1].parent) == (os.getpid(), os.getppid())
    assert line[0][1].started == begun
    assert [found.started for _, found in line] == sorted(
        (found.started for _, found in line), reverse=True
    )


def test_there_has_to_be_an_ancestor() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass

    with pytest.raises((FileNotFoundError, ProcessLookupError)):
        proc.descends_from(ended.pid)
