"""A run's claim and its end are one event each in the log, once they are committed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.models import Run
from backend.runs import claims, moves, queue
from backend.transactions import Caller, Installation
from tests.support.databases import one_database
from tests.support.rows import add_workspaces

pytestmark = one_database


def claim(here: Installation) -> Run:
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        queued = queue.queue(tx, workspace, queue.NewRun("plan"))
    with here.itself.transaction() as tx:
        claimed = claims.claim(tx, queued.id, "w1", timedelta(seconds=30))
    assert claimed is not None
    return claimed


def of_runs(events: list[Any]) -> list[Mapping[str, Any]]:
    return [event for event in events if event["event"] in {"run_claimed", "run_ended"}]


def test_the_claim_and_the_end_of_a_run_are_logged_once(here: Installation) -> None:
    with capture_logs() as events:
        run = claim(here)
        with Caller(here, claims.itself(run)).transaction() as tx:
            own = claims.own(tx)
            moves.move(tx, own, "planning")
            moves.move(tx, own, "errored", error_code="plan-failed")

    claimed, ended = of_runs(events)
    assert claimed == {
        "event": "run_claimed", "log_level": "info", "run": run.id, "operation": "plan",
        "project": run.project_id, "workspace": run.workspace_id, "worker": "w1", "epoch": 1,
    }  # fmt: skip
    assert (ended["run"], ended["workspace"]) == (run.id, run.workspace_id)
    assert (ended["status"], ended["error"]) == ("errored", "plan-failed")
    assert ended["seconds"] >= 0


def test_a_move_that_is_rolled_back_is_not_logged(here: Installation) -> None:
    run = claim(here)

    with capture_logs() as events, pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117 one block is one transaction
        with Caller(here, claims.itself(run)).transaction() as tx:
            moves.move(tx, claims.own(tx), "errored")
            raise ZeroDivisionError

    assert of_runs(events) == []


def test_a_run_that_is_canceled_in_the_queue_ends_without_a_duration(here: Installation) -> None:
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        run = queue.queue(tx, workspace, queue.NewRun("plan"))
    with capture_logs() as events, here.itself.transaction() as tx:
        queue.cancel(tx, tx.db.get_one(Run, run.id).workspace.project, run.id, force=False)

    [ended] = of_runs(events)
    assert (ended["status"], ended["seconds"]) == ("canceled", None)
