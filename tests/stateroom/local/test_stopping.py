"""What `stateroom up` says when it stops."""

from __future__ import annotations

import math
import signal
from datetime import timedelta

import pytest

from backend.runs import claims, queue
from backend.transactions import Installation
from stateroom.local import stopping
from tests.support.databases import one_database
from tests.support.rows import add_workspaces


@one_database
def test_it_names_the_runs_of_its_own_worker(
    here: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = add_workspaces(here, "one", "other")
    with here.itself.transaction() as tx:
        for workspace, pid in ((one, 41), (other, 4)):
            run = queue.queue(tx, workspace, queue.NewRun("apply"))
            name = f"{claims.process_name(pid)}:abc"
            claims.claim(tx, run.id, name, timedelta(seconds=30))

    stopping.explain(here.settings, 4, signal.SIGINT, 630)

    said = capsys.readouterr().err
    assert "apply of" in said
    assert "/other (" in said
    assert "/one (" not in said
    assert "at most 630 seconds" in said
    assert "Ctrl-C again to kill" in said


def test_it_says_that_nothing_is_at_work() -> None:
    assert stopping.lines([], signal.SIGTERM, math.inf) == ["Stopping. No run is at work."]


def test_it_waits_as_long_as_it_takes_for_who_asked_kindly() -> None:
    said = " ".join(stopping.lines(["apply of shop/app (run_1)"], signal.SIGTERM, math.inf))

    assert "apply of shop/app (run_1)" in said
    assert "however long it takes" in said
    assert "they are interrupted" in said


@one_database
def test_it_stops_without_the_names_when_the_database_is_away(
    here: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    away = here.settings.model_copy(update={"data_dir": here.settings.data_dir / "gone"})

    stopping.explain(away, 4, signal.SIGTERM, math.inf)

    assert "does not answer" in capsys.readouterr().err
