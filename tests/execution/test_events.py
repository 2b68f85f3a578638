"""A run reports its events, also when the database is away for a while."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import select, text, update

from backend.db import now
from backend.documents import intake
from backend.errors import Forbidden, Locked
from backend.models import AuditEntry, RescuedWrite, Run, State, Step, Workspace
from backend.principal import Principal
from backend.runs import claims, logs, queue
from backend.states import freezing, locks, states
from backend.states.locks import LockInfo
from backend.transactions import Caller, Installation
from execution import log_text, writing
from execution.events import Execution
from runner.errors import Fenced, Stopped
from runner.events import StopLevel
from tests.support.postgres import Postgres
from tests.support.rows import add_workspaces


@pytest.fixture
def run(here: Installation) -> Run:
    """A run at work."""
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        queued = queue.queue(tx, workspace, queue.NewRun("apply", auto_approve=True))
        claimed = claims.claim(tx, queued.id, "w1", timedelta(seconds=30))
    assert claimed is not None
    return claimed


def log_of(here: Installation, run: Run) -> bytes:
    with here.itself.reading() as tx:
        return logs.read(tx, tx.db.get_one(Run, run.id), 0, 1 << 30)


def status_of(here: Installation, run: Run) -> str:
    with here.itself.reading() as tx:
        return tx.db.get_one(Run, run.id).status


@contextmanager
def away(postgres: Postgres, url: str, seconds: float) -> Iterator[None]:
    """The database takes no connections, and ends those it has, for so long from now."""
    postgres.allow_connections(url, allowed=False)
    back = threading.Timer(seconds, postgres.allow_connections, (url,), {"allowed": True})
    back.start()
    try:
        yield
    finally:
        back.join()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_run_that_ends_while_the_database_is_away_ends_as_it_did(
    here: Installation, run: Run, postgres: Postgres
) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    at_work.planned({"add": 1}, "0" * 64)
    at_work.applying()

    with away(postgres, here.settings.database_url, seconds=1.5):
        at_work.step_started("apply")
        at_work.output(b"Apply complete!\n")
        at_work.step_ended("apply", "done", {})
    with away(postgres, here.settings.database_url, seconds=1.5):
        at_work.output(b"and that was it\n")
        at_work.finish("applied")

    with here.itself.reading() as tx:
        assert tx.db.get_one(Run, run.id).status == "applied"
        steps = tx.db.scalars(select(Step).where(Step.run_id == run.id)).all()
        assert [(step.name, step.status) for step in steps] == [("apply", "done")]
    assert log_of(here, run) == b"Apply complete!\nand that was it\n"


def test_a_move_whose_answer_was_lost_is_not_taken_for_the_loss_of_the_run(
    here: Installation, run: Run
) -> None:
    at_work = Execution(here, run)

    at_work.planning()
    at_work.flush()
    at_work.planning()
    at_work.flush()

    assert not at_work.fenced
    assert status_of(here, run) == "planning"


def test_a_run_that_was_asked_to_cancel_does_not_begin_to_apply(
    here: Installation, run: Run
) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    with here.itself.transaction() as tx:
        project = tx.db.get_one(Run, run.id).workspace.project
        queue.cancel(tx, project, run.id, force=False)

    with pytest.raises(Stopped, match="before it began to apply") as stopped:
        at_work.applying()
    at_work.finish("canceled", error_code=stopped.value.code)

    assert status_of(here, run) == "canceled"
    with here.itself.reading() as tx:
        moved = select(AuditEntry.action).where(AuditEntry.object == run.id)
        assert "run.applying" not in tx.db.scalars(moved).all()


def test_the_apply_begins_only_after_every_move_before_it_is_written(
    here: Installation, run: Run
) -> None:
    at_work = Execution(here, run)

    at_work.planning()
    assert at_work.planned({"add": 1}, "0" * 64)
    at_work.applying()

    assert status_of(here, run) == "applying"
    with here.itself.reading() as tx:
        assert tx.db.get_one(Run, run.id).changes == {"add": 1}
        told = tx.db.scalars(select(AuditEntry.action).where(AuditEntry.object == run.id)).all()
    assert {"run.planning", "run.planned", "run.applying"} <= set(told)


def test_a_run_that_was_taken_away_does_not_begin_to_apply(here: Installation, run: Run) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).values(lease_expires_at=now(-timedelta(seconds=1))))
        claims.expire_leases(tx)

    with pytest.raises(Fenced):
        at_work.applying()

    assert status_of(here, run) == "queued"


def test_of_a_log_that_never_ends_the_end_is_kept_too(
    here: Installation, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_text, "HEAD_BYTES", 100)
    monkeypatch.setattr(log_text, "TAIL_BYTES", 50)
    at_work = Execution(here, run)

    for number in range(50):
        at_work.output(b"line %02d of it\n" % number)
    at_work.finish("errored")

    said = log_of(here, run)
    assert said.startswith(b"line 00 of it\nline 01 of it\n")
    assert b" bytes of the log are left out here ...\nline 47 of it\n" in said
    assert said.endswith(b"line 49 of it\n")


def lose(here: Installation, run: Run) -> None:
    """Its worker is silent for longer than its lease."""
    with here.itself.transaction() as tx:
        silent = {"lease_expires_at": now(-timedelta(seconds=1))}
        tx.db.execute(update(Run).where(Run.id == run.id).values(silent))
    with here.itself.transaction() as tx:
        claims.expire_leases(tx)


def test_what_was_said_while_the_worker_was_silent_is_in_the_log_of_a_lost_run(
    here: Installation, run: Run
) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    at_work.planned({"add": 1}, "0" * 64)
    at_work.applying()
    at_work.output(b"before\n")
    at_work.flush()

    lose(here, run)
    at_work.output(b"one was made\n")
    at_work.flush()
    at_work.output(b"and another one\n")
    at_work.abandon()

    assert status_of(here, run) == "lost"
    assert log_of(here, run) == b"before\n" + writing.LATE + b"one was made\nand another one\n"


def test_what_an_earlier_attempt_says_late_is_not_in_the_log_of_the_next_one(
    here: Installation, run: Run
) -> None:
    at_work = Execution(here, run)
    lose(here, run)

    at_work.output(b"late\n")
    at_work.abandon()

    assert status_of(here, run) == "queued"
    assert log_of(here, run) == b""


def test_a_run_that_met_a_passing_fault_is_queued_again_a_few_times(
    here: Installation, run: Run
) -> None:
    for number in range(2, claims.MAX_ATTEMPTS + 1):
        Execution(here, run).give_back("unavailable", "The database does not answer.")
        assert status_of(here, run) == "queued"
        with here.itself.transaction() as tx:
            again = claims.claim(tx, run.id, "w1", timedelta(seconds=30))
        assert again is not None
        assert again.attempts == number
        run = again

    Execution(here, run).give_back("unavailable", "The database does not answer.")

    with here.itself.reading() as tx:
        ended = tx.db.get_one(Run, run.id)
        assert (ended.status, ended.error_code) == ("errored", "unavailable")
        assert "tried 3 times" in (ended.error_message or "")


def test_a_run_that_applies_is_not_queued_again(here: Installation, run: Run) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    at_work.planned({"add": 1}, "0" * 64)
    at_work.applying()

    at_work.give_back("server-unavailable", "The server did not answer.")

    assert status_of(here, run) == "errored"


def test_a_run_that_was_to_be_canceled_is_not_queued_again(here: Installation, run: Run) -> None:
    with here.itself.transaction() as tx:
        project = tx.db.get_one(Run, run.id).workspace.project
        queue.cancel(tx, project, run.id, force=False)

    Execution(here, run).give_back("unavailable", "The database does not answer.")

    assert status_of(here, run) == "canceled"


@pytest.mark.parametrize("by", ["its worker", "a person"])
def test_a_run_says_who_stopped_it(here: Installation, run: Run, by: str) -> None:
    at_work = Execution(here, run)
    if by == "a person":
        with here.itself.transaction() as tx:
            project = tx.db.get_one(Run, run.id).workspace.project
            queue.cancel(tx, project, run.id, force=False)
        at_work.pulse()

    at_work.interrupt()  # the worker stops in any case

    assert at_work.stop() is StopLevel.INTERRUPT
    assert at_work.is_stopped_by_its_worker is (by == "its worker")


STATE = {"version": 4, "serial": 7, "lineage": "one", "resources": []}


def test_an_attempt_that_lost_its_run_does_not_break_the_lock_of_the_next_one(
    here: Installation, run: Run
) -> None:
    late = Execution(here, run)
    with here.itself.transaction() as tx:
        tx.db.execute(
            update(Run).where(Run.id == run.id).values(lease_expires_at=now(-timedelta(seconds=1)))
        )
    with here.itself.transaction() as tx:
        claims.expire_leases(tx)
        again = claims.claim(tx, run.id, "w2", timedelta(seconds=30))
        assert again is not None
        state = states.of_workspace(tx.db, again.workspace)
        next_one = replace(tx, principal=claims.itself(again))
        locks.acquire(next_one, state, LockInfo("of the next one"))

    late.rescue(BytesIO(json.dumps(STATE).encode()))

    with here.itself.reading() as tx:
        assert locks.of_state(tx.db, state).held
        assert tx.db.get_one(State, state.id).current == 0
        kept = tx.db.scalars(select(RescuedWrite)).one()
        assert (kept.reason, kept.serial) == ("fenced", 7)


def test_the_lock_of_a_run_serves_nobody_else_who_knows_its_id(
    here: Installation, run: Run
) -> None:
    info = LockInfo("of the tool")
    itself = Caller(here, claims.itself(run))
    writer = Caller(here, Principal("writer", "", frozenset({"state:read", "state:write"})))
    with itself.transaction() as tx:
        state = tx.db.scalars(select(State)).one()
        locks.acquire(tx, state, info)
    document = intake.receive(BytesIO(json.dumps(STATE).encode()), 10_000, here.blobs)

    with writer.transaction() as tx, pytest.raises(Locked):
        locks.acquire(tx, state, info)
    with writer.transaction() as tx, pytest.raises(Locked):
        states.write(tx, state, document, info.id)
    with writer.transaction() as tx, pytest.raises(Forbidden):
        locks.release(tx, state, info.id)

    with itself.transaction() as tx:
        locks.acquire(tx, state, info)  # once more is harmless
        assert states.write(tx, state, document, info.id) == 1


def test_what_a_tool_could_not_write_is_written_under_its_lock_in_a_frozen_workspace_too(
    here: Installation, run: Run
) -> None:
    with here.itself.transaction() as tx:
        state = tx.db.scalars(select(State)).one()
        locks.acquire(replace(tx, principal=claims.itself(run)), state, LockInfo("of the tool"))
        freezing.freeze(tx, tx.db.get_one(Workspace, run.workspace_id), "we move")

    Execution(here, run).rescue(BytesIO(json.dumps(STATE).encode()))

    with here.itself.reading() as tx:
        assert tx.db.get_one(State, state.id).current == 1
        assert not locks.of_state(tx.db, state).held
        assert tx.db.scalars(select(RescuedWrite)).all() == []


def test_what_a_tool_without_its_lock_could_not_write_is_rescued_in_a_frozen_workspace(
    here: Installation, run: Run
) -> None:
    with here.itself.transaction() as tx:
        freezing.freeze(tx, tx.db.get_one(Workspace, run.workspace_id), "we move")

    Execution(here, run).rescue(BytesIO(json.dumps(STATE).encode()))

    with here.itself.reading() as tx:
        assert tx.db.scalars(select(State)).one().current == 0
        assert tx.db.scalars(select(RescuedWrite)).one().reason == "workspace-frozen"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_apply_that_ended_well_is_applied_although_its_log_cannot_be_stored(
    here: Installation, run: Run
) -> None:
    at_work = Execution(here, run)
    at_work.planning()
    at_work.planned({"add": 1}, "0" * 64)
    at_work.applying()
    with here.database.transaction() as db:
        refuse = "BEFORE INSERT ON log_chunks BEGIN SELECT RAISE(ABORT, 'the store is broken'); END"
        db.execute(text(f"CREATE TRIGGER broken {refuse}"))

    at_work.step_started("apply")
    at_work.output(b"Apply complete!\n")
    at_work.flush()
    at_work.step_ended("apply", "done", {})
    at_work.finish("applied")

    assert status_of(here, run) == "applied"
