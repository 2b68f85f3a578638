"""Nothing runs in a workspace while what a run made may be in a rescued write alone."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import update

from backend.db import now
from backend.documents import intake
from backend.errors import Conflict
from backend.models import RescuedWrite, Run, Workspace
from backend.principal import Principal
from backend.runs import claims, moves, queue
from backend.states import rescued, states
from backend.transactions import Caller, Installation
from execution.unsaved import keep_leftover
from tests.support.documents import state_document
from tests.support.rows import add_workspaces

LEASE = timedelta(seconds=30)
DOCUMENT = state_document(3, lineage="l")


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    return add_workspaces(here, "one")[0]


@pytest.fixture
def lost(here: Installation, workspace: Workspace) -> Run:
    """A run whose worker died in the middle of its apply."""
    run = claim(here, queued(here, workspace))
    assert run is not None
    for status in ("planning", "applying"):
        with Caller(here, claims.itself(run)).transaction() as tx:
            moves.move(tx, claims.own(tx), status)
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).values(lease_expires_at=now(-timedelta(seconds=1))))
    with here.itself.transaction() as tx:
        claims.expire_leases(tx)
    return row(here, run.id)


def queued(here: Installation, workspace: Workspace) -> str:
    with here.itself.transaction() as tx:
        return queue.queue(tx, workspace, queue.NewRun("apply")).id


def claim(here: Installation, run_id: str) -> Run | None:
    with here.itself.transaction() as tx:
        return claims.claim(tx, run_id, "w1", LEASE)


def row(here: Installation, run_id: str) -> Run:
    with here.itself.reading() as tx:
        return tx.db.get_one(Run, run_id)


def claimable(here: Installation) -> list[str]:
    with here.itself.reading() as tx:
        return list(claims.claimable(tx.db, 10))


def acknowledge(here: Installation, run: Run) -> None:
    with here.itself.transaction() as tx:
        queue.acknowledge(tx, tx.db.get_one(Run, run.id).workspace.project, run.id)


def leave(here: Installation, run: Run, document: bytes = DOCUMENT) -> str:
    """What the tool of the dead worker left is found; the id of the rescued write."""
    keep_leftover(here, run.id, BytesIO(document))
    with here.itself.reading() as tx:
        return tx.db.query(RescuedWrite.id).order_by(RescuedWrite.id.desc()).limit(1).scalar() or ""


def dismiss(here: Installation, workspace: Workspace, rescued_id: str) -> None:
    with here.itself.transaction() as tx:
        rescued.dismiss(tx, states.of_workspace(tx.db, workspace), rescued_id)


def store(here: Installation, workspace: Workspace, document: bytes) -> None:
    taken = intake.receive(BytesIO(document), 10_000, here.blobs)
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, workspace)
        states.append(tx, state, taken, states.Origin(None))


def test_a_lost_run_names_what_it_stored_and_what_was_refused(
    here: Installation, workspace: Workspace, lost: Run
) -> None:
    assert "It stored no state" in (lost.error_message or "")

    kept = leave(here, lost)

    said = row(here, lost.id).error_message or ""
    assert kept in said
    assert "promote or dismiss" in said


def test_a_lost_run_is_not_acknowledged_before_its_rescued_write_is_decided(
    here: Installation, workspace: Workspace, lost: Run
) -> None:
    kept = leave(here, lost)

    with pytest.raises(Conflict) as refused:
        acknowledge(here, lost)
    assert (refused.value.code, refused.value.facts) == ("rescued-undecided", {"rescued": kept})

    dismiss(here, workspace, kept)
    acknowledge(here, lost)
    following = queued(here, workspace)
    assert claim(here, following) is not None


def test_what_is_found_after_the_acknowledgement_holds_the_next_run_back_too(
    here: Installation, workspace: Workspace, lost: Run
) -> None:
    acknowledge(here, lost)
    following = queued(here, workspace)

    kept = leave(here, lost)

    assert claimable(here) == []
    assert claim(here, following) is None
    with here.itself.reading() as tx:
        waiting = tx.db.get_one(Run, following)
        assert queue.waits_for_rescued(tx.db, waiting) == kept
    dismiss(here, workspace, kept)
    assert claimable(here) == [following]


def test_what_is_a_version_too_holds_nobody_back(
    here: Installation, workspace: Workspace, lost: Run
) -> None:
    kept = leave(here, lost)

    store(here, workspace, DOCUMENT)
    store(here, workspace, state_document(4, lineage="l"))

    acknowledge(here, lost)
    assert claim(here, queued(here, workspace)) is not None
    assert kept


def test_what_is_the_newest_version_already_is_not_kept_again(
    here: Installation, workspace: Workspace, lost: Run
) -> None:
    store(here, workspace, DOCUMENT)

    assert leave(here, lost) == ""


def test_a_refused_write_from_a_laptop_holds_no_run_back(
    here: Installation, workspace: Workspace
) -> None:
    laptop = Caller(here, Principal("ann", "", frozenset({"state:read", "state:write"})))
    taken = intake.receive(BytesIO(DOCUMENT), 10_000, here.blobs)
    with laptop.transaction() as tx:
        rescued.keep(tx, states.of_workspace(tx.db, workspace), taken, "lock-lost")

    assert claim(here, queued(here, workspace)) is not None
