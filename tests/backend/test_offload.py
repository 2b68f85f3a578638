"""Work in threads of gevent's pool, in a process that gevent has patched."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backend.offload import off_loop, side_by_side
from tests.support.project import ROOT

START = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, threading
from gevent import monkey
from backend.offload import off_loop, side_by_side
sleep = monkey.get_original("time", "sleep")
me = monkey.get_original("threading", "get_ident")
done = []

def slowly(word):
    sleep(0.2)
    done.append(word)
    return word
"""


def printed(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", START + script],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_without_gevent_the_work_is_done_here() -> None:
    done: list[str] = []

    side_by_side(lambda: done.append("first"), lambda: done.append("second"))

    assert off_loop(divmod, 7, 2) == (3, 1)
    assert done == ["first", "second"]


def test_without_gevent_an_error_is_the_callers() -> None:
    with pytest.raises(ZeroDivisionError):
        off_loop(divmod, 7, 0)


def test_others_go_on_while_the_work_is_done() -> None:
    script = """
gevent.spawn(done.append, "other")
print(off_loop(slowly, "work"), done)
print(me() != off_loop(me))
"""

    assert printed(script) == ["work ['other', 'work']", "True"]


def test_an_error_reaches_the_caller_and_nothing_else() -> None:
    script = """
try:
    off_loop(divmod, 7, 0)
except ZeroDivisionError as error:
    print("caught", error)
"""

    assert len(printed(script)) == 1


def test_a_killed_greenlet_dies_when_its_work_is_done() -> None:
    script = """
def request():
    try:
        off_loop(slowly, "work")
    finally:
        done.append("end")

greenlet = gevent.spawn(request)
gevent.sleep(0.05)
greenlet.kill()
print(done, type(greenlet.value).__name__)
"""

    assert printed(script) == ["['work', 'end'] GreenletExit"]


def test_both_works_are_done_before_an_error_of_one_is_raised() -> None:
    script = """
def fail():
    raise ValueError("first")

try:
    side_by_side(fail, lambda: slowly("second"))
except ValueError as error:
    print(error, done)
try:
    side_by_side(lambda: slowly("first"), fail)
except ValueError as error:
    print(error, done)
"""

    assert printed(script) == ["first ['second']", "first ['second', 'first']"]
