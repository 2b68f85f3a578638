"""Runs: claims, leases, cancels. The same promises on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from backend.db import now
from backend.errors import Conflict, Unauthorised
from backend.models import AuditEntry, Project, Run, State, Workspace
from backend.people import authentication, tokens
from backend.principal import LOCK, RESCUE
from backend.runs import claims, moves, queue
from backend.states import fencing, freezing, locks, states
from backend.states.locks import LockInfo
from backend.transactions import Caller, Installation, Transaction
from tests.support.rows import add_workspaces

LEASE = timedelta(seconds=30)


@pytest.fixture
def workspaces(here: Installation) -> list[Workspace]:
    return add_workspaces(here, "one", "two")


def queued(here: Installation, workspace: Workspace, operation: str = "apply") -> str:
    with here.itself.transaction() as tx:
        return queue.queue(tx, workspace, queue.NewRun(operation)).id


def claim(here: Installation, run_id: str, worker: str = "w1") -> Run | None:
    with here.itself.transaction() as tx:
        return claims.claim(tx, run_id, worker, LEASE)


def move(here: Installation, run: Run, *path: str) -> None:
    for status in path:
        with Caller(here, claims.itself(run)).transaction() as tx:
            moves.move(tx, claims.own(tx), status)


def silence(here: Installation, run: Run) -> list[str]:
    """Its worker is silent for longer than its lease, and a reconciler notices."""
    with here.itself.transaction() as tx:
        tx.db.execute(
            update(Run).where(Run.id == run.id).values(lease_expires_at=now(-timedelta(seconds=1)))
        )
    with here.itself.transaction() as tx:
        return claims.expire_leases(tx)


def row(here: Installation, run_id: str) -> Run:
    with here.itself.reading() as tx:
        return tx.db.get_one(Run, run_id)


def project_of(tx: Transaction, run_id: str) -> Project:
    return tx.db.get_one(Run, run_id).workspace.project


def test_a_queued_run_is_claimed_once(here: Installation, workspaces: list[Workspace]) -> None:
    run_id = queued(here, workspaces[0])

    first, second = claim(here, run_id, "w1"), claim(here, run_id, "w2")

    assert first is not None
    assert (first.status, first.epoch, first.worker) == ("preparing", 1, "w1")
    assert second is None


def test_of_many_claims_at_once_one_wins(here: Installation, workspaces: list[Workspace]) -> None:
    run_id = queued(here, workspaces[0])
    won: list[str] = []

    def try_it(name: str) -> None:
        if claim(here, run_id, name) is not None:
            won.append(name)

    threads = [threading.Thread(target=try_it, args=(f"w{n}",)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert row(here, run_id).epoch == 1


def test_a_workspace_runs_one_after_the_other_in_the_order_they_came(
    here: Installation, workspaces: list[Workspace]
) -> None:
    first, second = queued(here, workspaces[0]), queued(here, workspaces[0])
    elsewhere = queued(here, workspaces[1])

    assert claim(here, second) is None
    assert claim(here, elsewhere) is not None
    at_work = claim(here, first)
    assert at_work is not None
    assert claim(here, second) is None
    with here.itself.reading() as tx:
        blocker = queue.blocked_by(tx.db, tx.db.get_one(Run, second))
    assert blocker is not None
    assert blocker.id == first

    move(here, at_work, "planning", "applying", "applied")
    assert claim(here, second) is not None


def test_the_oldest_run_of_a_free_workspace_is_offered_first(
    here: Installation, workspaces: list[Workspace]
) -> None:
    busy = queued(here, workspaces[0])
    assert claim(here, busy) is not None
    queued(here, workspaces[0])
    free = queued(here, workspaces[1])

    with here.itself.reading() as tx:
        offered = claims.claimable(tx.db, 5)

    assert offered == [free]


def test_a_silent_worker_before_the_apply_gives_its_run_back(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    move(here, run, "planning")

    again = silence(here, run)

    assert again == [run.id]
    assert row(here, run.id).status == "queued"
    second = claim(here, run.id, "w2")
    assert second is not None
    assert second.epoch > run.epoch


def test_a_run_is_given_back_a_few_times_only(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run_id = queued(here, workspaces[0])

    for _ in range(claims.MAX_ATTEMPTS):
        run = claim(here, run_id)
        assert run is not None
        silence(here, run)

    ended = row(here, run_id)
    assert (ended.status, ended.error_code) == ("errored", "worker-lost")
    assert not ended.blocking


def test_a_silent_worker_in_the_apply_loses_its_run_and_blocks_the_workspace(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    move(here, run, "planning", "applying")
    waiting = queued(here, workspaces[0])

    assert silence(here, run) == []

    assert row(here, run.id).status == "lost"
    assert claim(here, waiting) is None
    with here.itself.transaction() as tx:
        queue.acknowledge(tx, project_of(tx, run.id), run.id)
    assert row(here, run.id).status == "lost"
    assert claim(here, waiting) is not None


def test_a_worker_that_was_silent_too_long_can_move_nothing(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    silence(here, run)

    with pytest.raises(moves.Moved):
        move(here, run, "planning")
    with Caller(here, claims.itself(run)).transaction() as tx:
        assert claims.renew(tx, LEASE) is None


def test_a_renewed_lease_is_not_taken_away(here: Installation, workspaces: list[Workspace]) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None

    with Caller(here, claims.itself(run)).transaction() as tx:
        assert claims.renew(tx, LEASE) == (False, False)
    with here.itself.transaction() as tx:
        assert claims.expire_leases(tx) == []

    assert row(here, run.id).status == "preparing"


def test_the_credential_of_a_run_dies_with_its_epoch(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, workspaces[0])
        secret = tokens.issue_for_run(tx.db, run, state.id)
    move(here, run, "planning", "applying")
    with here.itself.reading() as tx:
        assert authentication.authenticate(tx.db, secret).holds("state:write")

    silence(here, run)

    with here.itself.reading() as tx:
        late = authentication.authenticate(tx.db, secret)
    assert late.scopes == {RESCUE}
    with Caller(here, late).reading() as tx, pytest.raises(Conflict):
        fencing.fence(tx)


@pytest.mark.parametrize("operation", ["apply", "destroy"])
def test_the_credential_of_an_apply_writes_only_while_the_run_applies(
    here: Installation, workspaces: list[Workspace], operation: str
) -> None:
    run = claim(here, queued(here, workspaces[0], operation))
    assert run is not None
    secret = credential(here, run)

    before = scopes_of(here, secret)
    move(here, run, "planning")
    planning = scopes_of(here, secret)
    move(here, run, "applying")
    applying = scopes_of(here, secret)
    move(here, run, "applied")

    assert before == planning == {"state:read", LOCK}
    assert applying == {"state:read", "state:write"}
    assert scopes_of(here, secret) == {RESCUE}


@pytest.mark.parametrize(
    ("operation", "scopes"),
    [
        ("plan", {"state:read", LOCK}),
        ("import-state", {"state:read"}),
        ("export-state", {"state:read"}),
    ],
)
def test_the_credential_of_a_run_that_writes_no_state_never_writes(
    here: Installation, workspaces: list[Workspace], operation: str, scopes: set[str]
) -> None:
    run = claim(here, queued(here, workspaces[0], operation))
    assert run is not None
    secret = credential(here, run)

    at_work = scopes_of(here, secret)
    move(here, run, "planning", "applying")
    applying = scopes_of(here, secret)
    move(here, run, "errored")

    assert at_work == applying == scopes
    assert scopes_of(here, secret) == set()


def credential(here: Installation, run: Run) -> str:
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, tx.db.get_one(Workspace, run.workspace_id))
        return tokens.issue_for_run(tx.db, run, state.id)


def scopes_of(here: Installation, secret: str) -> frozenset[str]:
    with here.itself.reading() as tx:
        return authentication.authenticate(tx.db, secret).scopes


def test_a_token_that_is_not_one_opens_nothing(here: Installation) -> None:
    with here.database.reading() as db, pytest.raises(Unauthorised):
        authentication.authenticate(db, "stateroom_nothing")


def test_the_lock_of_a_run_ends_with_it(here: Installation, workspaces: list[Workspace]) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, workspaces[0])
        itself = authentication.authenticate(tx.db, tokens.issue_for_run(tx.db, run, state.id))
        as_run = replace(tx, principal=itself)
        locks.acquire(as_run, state, LockInfo("lock-1", {"ID": "lock-1"}))
    move(here, run, "planning", "applying")

    silence(here, run)

    with here.itself.reading() as tx:
        assert not locks.of_state(tx.db, tx.db.get_one(State, state.id)).held


def test_a_queued_run_is_canceled_at_once(here: Installation, workspaces: list[Workspace]) -> None:
    run_id = queued(here, workspaces[0])

    with here.itself.transaction() as tx:
        queue.cancel(tx, project_of(tx, run_id), run_id, force=False)

    assert row(here, run_id).status == "canceled"
    assert claim(here, run_id) is None


def test_a_run_at_work_hears_that_it_should_stop(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None

    with here.itself.transaction() as tx:
        queue.cancel(tx, project_of(tx, run.id), run.id, force=False)
        assert claims.heard(tx.db, run.id, run.epoch) == (True, False)
        queue.cancel(tx, project_of(tx, run.id), run.id, force=True)

    with here.itself.reading() as tx:
        assert claims.heard(tx.db, run.id, run.epoch) == (True, True)


def test_an_ended_run_cannot_be_canceled(here: Installation, workspaces: list[Workspace]) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    move(here, run, "errored")

    with here.itself.transaction() as tx, pytest.raises(Conflict):
        queue.cancel(tx, project_of(tx, run.id), run.id, force=False)


@pytest.mark.parametrize("status", ["queued", "preparing", "applied", "lost"])
def test_a_run_never_moves_along_an_edge_that_is_not_there(
    here: Installation, workspaces: list[Workspace], status: str
) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None
    move(here, run, "planning", "planned")

    if status not in moves.EDGES["planned"]:
        with pytest.raises(moves.Moved):
            move(here, run, status)
        assert row(here, run.id).status == "planned"


def test_every_move_leaves_one_audit_entry(here: Installation, workspaces: list[Workspace]) -> None:
    run = claim(here, queued(here, workspaces[0]))
    assert run is not None

    move(here, run, "planning", "applying", "applied")

    with here.itself.reading() as tx:
        entries = tx.db.execute(
            select(AuditEntry.action, func.count())
            .where(AuditEntry.object == run.id)
            .group_by(AuditEntry.action)
        ).all()
    assert dict(entries) == {
        f"run.{what}": 1 for what in ("queue", "preparing", "planning", "applying", "applied")
    }


def test_a_run_that_was_queued_before_a_freeze_waits_for_its_end(
    here: Installation, workspaces: list[Workspace]
) -> None:
    run_id = queued(here, workspaces[0])
    with here.itself.transaction() as tx:
        freezing.freeze(tx, tx.db.get_one(Workspace, workspaces[0].id), "we move")

    assert claim(here, run_id) is None
    with here.itself.reading() as tx:
        assert claims.claimable(tx.db, 10) == []
    with here.itself.transaction() as tx:
        freezing.unfreeze(tx, tx.db.get_one(Workspace, workspaces[0].id))
        assert claims.claimable(tx.db, 10) == [run_id]
    assert claim(here, run_id) is not None
