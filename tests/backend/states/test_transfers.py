"""What is taken in from elsewhere, what is archived, and what a run is told of its state."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from backend.db import now
from backend.documents import intake
from backend.errors import Conflict, Error, Gone, Locked
from backend.models import Run, State, StateVersion, Workspace
from backend.principal import SYSTEM, Principal
from backend.runs import claims, moves, queue
from backend.sealing import proven
from backend.states import archive, locks, states, transfers
from backend.states.locks import LockInfo
from backend.transactions import Caller, Installation
from tests.support.documents import encrypted_document, state_document
from tests.support.rows import add_workspaces

LEASE = timedelta(seconds=30)


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    return add_workspaces(here, "one")[0]


@pytest.fixture
def run(here: Installation, workspace: Workspace) -> Run:
    """A run at work."""
    with here.itself.transaction() as tx:
        queued = queue.queue(tx, workspace, queue.NewRun("export-state"))
        claimed = claims.claim(tx, queued.id, "w1", LEASE)
    assert claimed is not None
    return claimed


def take_in(
    here: Installation, workspace: Workspace, body: bytes, who: Principal = SYSTEM
) -> StateVersion:
    document = intake.receive(io.BytesIO(body), 1 << 30, here.blobs)
    with Caller(here, who).transaction() as tx:
        return transfers.take_in(tx, states.of_workspace(tx.db, workspace), document)


def standing(here: Installation, workspace: Workspace) -> str:
    with here.itself.reading() as tx:
        state = states.of_workspace(tx.db, workspace)
        return transfers.standing(tx.db, state, here.keyring, here.blobs)


def change(here: Installation, workspace: Workspace, **values: Any) -> None:
    with here.itself.transaction() as tx:
        tx.db.execute(update(State).where(State.workspace_id == workspace.id).values(values))
        proven.accept(tx.db, State, State.workspace_id == workspace.id)


def test_a_document_is_taken_in_once(here: Installation, workspace: Workspace) -> None:
    first = take_in(here, workspace, state_document(3, lineage="one"))
    again = take_in(here, workspace, state_document(3, lineage="one"))
    newer = take_in(here, workspace, state_document(9, lineage="one"))

    assert [version.number for version in (first, again, newer)] == [1, 1, 2]
    assert (newer.operation, newer.serial, newer.forced) == ("import", 9, False)


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (state_document(9, lineage="two"), "lineage-mismatch"),
        (state_document(2, lineage="one"), "serial-too-low"),
        (state_document(3, lineage="one", outputs={"x": "y"}), "serial-reused"),
        (b'{"version": 4, "serial": 9}', "lineage-mismatch"),
        (b'{"version": 4, "lineage": "one"}', "lineage-mismatch"),
    ],
)
def test_what_does_not_follow_ours_changes_nothing(
    here: Installation, workspace: Workspace, document: bytes, code: str
) -> None:
    take_in(here, workspace, state_document(3, lineage="one"))

    with pytest.raises(Conflict) as refused:
        take_in(here, workspace, document)

    assert refused.value.code == code
    with here.itself.reading() as tx:
        assert states.of_workspace(tx.db, workspace).current == 1


def test_nothing_is_taken_in_under_a_lock_or_by_a_run_that_was_taken_away(
    here: Installation, workspace: Workspace, run: Run
) -> None:
    with here.itself.transaction() as tx:
        locks.acquire(tx, states.of_workspace(tx.db, workspace), LockInfo("of-ann"))
    with pytest.raises(Locked):
        take_in(here, workspace, state_document())

    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).values(lease_expires_at=now(-timedelta(seconds=1))))
    with here.itself.transaction() as tx:
        claims.expire_leases(tx)
    with pytest.raises(Conflict) as late:
        take_in(here, workspace, state_document(), claims.itself(run))
    assert late.value.code == "fenced"


def test_a_run_is_told_what_its_state_holds(here: Installation, workspace: Workspace) -> None:
    told = [standing(here, workspace)]
    contents: list[dict[str, Any]] = [{}, {"outputs": {"x": "y"}}, {"size": 100_000}]
    for serial, more in enumerate(contents, start=1):
        take_in(here, workspace, state_document(serial, lineage="one", **more))
        told.append(standing(here, workspace))
    take_in(here, workspace, encrypted_document(9, lineage="one"))
    told.append(standing(here, workspace))
    change(here, workspace, deleted_at=now())
    told.append(standing(here, workspace))
    change(here, workspace, archived_at=now())
    told.append(standing(here, workspace))

    assert told == [
        *("unwritten", "empty", "in use", "in use", "in use", "empty", "archived"),
    ]


@pytest.mark.parametrize(
    ("past", "known"),
    [
        ([], None),
        ([("apply", "applied", "backend:s3", False)], "backend:s3"),
        ([("apply", "errored", "backend:s3", False)], None),
        ([("apply", "applied", "none", True)], None),
        ([("plan", "planned_and_finished", "none", False)], None),
        (
            [("apply", "applied", "cloud", False), ("plan", "planned_and_finished", "none", True)],
            "cloud",
        ),
        ([("apply", "applied", "cloud", False), ("destroy", "applied", "cloud", False)], None),
        ([("import-state", "applied", "backend:s3", False)], None),
    ],
)
def test_a_run_is_told_where_earlier_ones_kept_their_state(
    here: Installation,
    workspace: Workspace,
    past: list[tuple[str, str, str, bool]],
    known: str | None,
) -> None:
    for operation, status, verdict, inject in past:
        with here.itself.transaction() as tx:
            queued = queue.queue(tx, workspace, queue.NewRun(operation))
            queued.status = status
            queued.detection = {"verdict": verdict, "inject": inject}

    with here.itself.reading() as tx:
        assert transfers.elsewhere(tx.db, workspace) == known


def test_only_who_holds_the_lock_archives_and_a_person_opens_it_again(
    here: Installation, workspace: Workspace, run: Run
) -> None:
    take_in(here, workspace, state_document())
    refusals: list[Error] = []
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, workspace)
        as_run = replace(tx, principal=claims.itself(run))
        with pytest.raises(Conflict) as refused:
            archive.archive(as_run, state, "mine", "there")
        refusals.append(refused.value)
        locks.acquire(as_run, state, LockInfo("mine"))
        archive.archive(as_run, state, "mine", "there")
        archive.archive(as_run, state, "mine", "there")
        with pytest.raises(Gone) as gone:
            archive.refuse(state)
        refusals.append(gone.value)
        assert not locks.of_state(tx.db, state).held

        archive.unarchive(tx, state)
        archive.unarchive(tx, state)
        archive.refuse(state)

    assert [error.code for error in refusals] == ["lock-lost", "state-archived"]
    assert "there" in refusals[1].message


@pytest.mark.parametrize(
    ("operation", "archived", "said"),
    [
        ("import-state", None, "import-state may be queued again"),
        ("export-state", None, "still the one in use"),
        ("export-state", "the bucket", "moved to the bucket"),
        ("apply", None, "compare that with what really exists"),
    ],
)
def test_a_transfer_that_was_lost_says_where_the_state_is(
    here: Installation, workspace: Workspace, operation: str, archived: str | None, said: str
) -> None:
    with here.itself.transaction() as tx:
        queued = queue.queue(tx, workspace, queue.NewRun(operation))
        claimed = claims.claim(tx, queued.id, "w1", LEASE)
        assert claimed is not None
        for status in ("planning", "applying"):
            moves.move(tx, claimed, status)
        tx.db.execute(update(Run).values(lease_expires_at=now(-timedelta(seconds=1))))
    if archived:
        change(here, workspace, archived_at=now(), archived_to=archived)

    with here.itself.transaction() as tx:
        claims.expire_leases(tx)

    with here.itself.reading() as tx:
        lost = tx.db.get_one(Run, claimed.id)
        assert (lost.status, lost.error_code) == ("lost", "worker-lost")
        assert said in (lost.error_message or "")
