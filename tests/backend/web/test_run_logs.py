"""Logs of runs: their last lines, when each line came, and all of one as a file."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest
from flask import Flask

from backend.models import Run
from backend.runs import claims, logs
from execution import log_text
from execution.log_text import LogText
from tests.support.caller import Caller, refused
from tests.support.databases import one_database

STAMP = re.compile(rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ", re.MULTILINE)


@pytest.fixture
def run_id(boss: Caller, shop: str) -> str:
    made: str = boss.made(f"{shop}/runs")["id"]
    return made


@pytest.fixture
def log(shop: str, run_id: str) -> str:
    return f"{shop}/runs/{run_id}/log"


@pytest.fixture
def append(app: Flask, run_id: str) -> Callable[[bytes, logs.Marks], None]:
    """Append to the log of the run, with marks in it, as its worker does."""

    def append(text: bytes, marks: logs.Marks) -> None:
        with app.extensions["stateroom"].itself.transaction() as tx:
            of_run = replace(tx, principal=claims.itself(tx.db.get_one(Run, run_id)))
            logs.append(of_run, text, marks)

    return append


@pytest.fixture
def say(append: Callable[[bytes, logs.Marks], None]) -> Callable[..., None]:
    """Append to the log of the run, with marks: offsets and how many seconds ago that was."""

    def say(text: bytes, *marks: tuple[int, float]) -> None:
        now = time.monotonic()
        append(text, [(offset, now - ago) for offset, ago in marks])

    return say


def test_the_last_lines_of_a_log_are_found_from_its_end(
    boss: Caller, log: str, say: Callable[..., None]
) -> None:
    say(b"one\ntwo\nth")
    say(b"ree\nfour\n")

    assert boss.get(log, tail=1).data == b"four\n"
    assert boss.get(log, tail=2).data == b"three\nfour\n"
    assert boss.get(log, tail=99).data == b"one\ntwo\nthree\nfour\n"
    assert boss.get(log, tail=2).headers["X-Log-Offset"] == "8"
    assert boss.get(log, tail=2).headers["X-Log-Next-Offset"] == "19"
    say(b"no end")
    assert boss.get(log, tail=2).data == b"four\nno end"
    refused(boss.get(log, tail=0), 422, "invalid-request")
    refused(boss.get(log, tail=1, offset=3), 422, "log-range")


@one_database
def test_the_last_lines_of_an_empty_log_are_none(boss: Caller, log: str) -> None:
    answer = boss.get(log, tail=5)

    assert (answer.status_code, answer.data, answer.headers["X-Log-Offset"]) == (200, b"", "0")


@one_database
def test_the_last_lines_of_a_log_with_one_endless_line_are_bounded(
    boss: Caller, log: str, say: Callable[..., None]
) -> None:
    say(b"x" * (2 * logs.TAIL_BYTES))

    answer = boss.get(log, tail=1, limit=1)

    assert answer.headers["X-Log-Offset"] == str(logs.TAIL_BYTES)


def test_each_line_comes_after_the_moment_when_it_came(
    boss: Caller, log: str, say: Callable[..., None]
) -> None:
    say(b"one\ntwo\nth", (0, 3600.0), (4, 60.0))
    say(b"ree\rmore\nfour\n", (0, 30.0), (9, 0.0))

    answer = boss.get(log, timestamps="true")

    ago = [
        (datetime.now(UTC) - datetime.fromisoformat(stamp.decode())).total_seconds()
        for stamp in STAMP.findall(answer.data)
    ]
    assert STAMP.sub(b"", answer.data) == b"one\ntwo\nthree\rmore\nfour\n"
    assert [round(seconds / 60) for seconds in ago] == [60, 1, 1, 0]
    assert answer.headers["X-Log-Next-Offset"] == "24"


@one_database
def test_half_a_line_and_a_line_of_before_have_no_moment(
    boss: Caller, log: str, say: Callable[..., None]
) -> None:
    say(b"one\ntwo\n")
    say(b"three\nfour\n", (0, 5.0))

    assert boss.get(log, timestamps="true", limit=8).data == b"one\ntwo\n"
    half = boss.get(log, timestamps="true", offset=9).data
    assert half.startswith(b"hree\n")
    assert STAMP.sub(b"", half) == b"hree\nfour\n"
    assert len(STAMP.findall(half)) == 1


def test_a_whole_log_is_downloaded_as_a_file(
    boss: Caller, log: str, run_id: str, say: Callable[..., None]
) -> None:
    text = b"".join(b"line %d\n" % n for n in range(300_000))
    say(text, (0, 0.0))

    answer = boss.get(log, download="true")
    stamped = boss.get(log, download="true", timestamps="true")

    assert answer.data == text
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{run_id}.log"'
    assert answer.headers["Content-Length"] == str(len(text))
    assert answer.headers["X-Log-Next-Offset"] == str(len(text))
    assert "Content-Length" not in stamped.headers
    assert STAMP.sub(b"", stamped.data) == text
    assert len(STAMP.findall(stamped.data)) == 300_000


@one_database
def test_the_last_lines_and_their_moments_are_right_across_what_was_left_out_of_a_log(
    boss: Caller,
    log: str,
    append: Callable[[bytes, logs.Marks], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of fifty lines comes a minute after the one before, and the last one now."""
    monkeypatch.setattr(log_text, "HEAD_BYTES", 100)
    monkeypatch.setattr(log_text, "TAIL_BYTES", 50)
    text, now = LogText(), time.monotonic()

    for number in range(50):
        clock = SimpleNamespace(monotonic=partial(float, now - 60 * (49 - number)))
        monkeypatch.setattr(log_text, "time", clock)
        text.add(b"line %02d of it\n" % number)
        if number == 3:  # what is ready is written now and then
            append(bytes(text.ready), text.marks)
            text.clear()
    text.end()
    append(bytes(text.ready), text.marks)

    whole, stamped = boss.get(log).data, boss.get(log, timestamps="true").data
    last = boss.get(log, tail=3, timestamps="true").data
    across = boss.get(log, tail=5, timestamps="true").data
    assert whole[98:] == (
        b"li\n... 558 bytes of the log are left out here ...\n"
        b"line 47 of it\nline 48 of it\nline 49 of it\n"
    )
    assert minutes_ago(stamped) == {n: 49 - n for n in (*range(7), 47, 48, 49)}
    assert STAMP.sub(b"", stamped) == whole
    assert minutes_ago(last) == minutes_ago(across) == {47: 2, 48: 1, 49: 0}
    assert STAMP.sub(b"", across) == whole[98:]


def minutes_ago(stamped: bytes) -> dict[int, int]:
    """When each numbered line came."""
    found = re.findall(rb"(?m)^(\S+Z) line (\d+) of it$", stamped)
    since = {int(n): datetime.now(UTC) - datetime.fromisoformat(at.decode()) for at, n in found}
    return {number: round(ago.total_seconds() / 60) for number, ago in since.items()}
