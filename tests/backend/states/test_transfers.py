"""What is taken in from elsewhere, what is archived, and what a run is told of its state."""

from __future__ import annotations

import io
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
from backend.states import archive, locks, states, transfers
from backend.states.locks import LockInfo
from backend.upkeep.installation import Installation
from tests.support.documents import encrypted_document, state_document
from tests.support.rows import add_workspaces

LEASE = timedelta(seconds=30)


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    return add_workspaces(here, "one")[0]


@pytest.fixture
def run(here: Installation, workspace: Workspace) -> Run:
    """A run at work."""
    with here.database.transaction() as db:
        queued = queue.queue(db, SYSTEM, workspace, "export-state")
        claimed = claims.claim(db, queued.id, "w1", LEASE)
    assert claimed is not None
    return claimed


def itself(run: Run) -> Principal:
    return Principal("run", "", frozenset(), run_id=run.id, run_epoch=run.epoch)


def take_in(
    here: Installation, workspace: Workspace, body: bytes, who: Principal = SYSTEM
) -> StateVersion:
    document = intake.receive(io.BytesIO(body), 1 << 30, here.blobs)
    with here.database.transaction() as db:
        state = states.of_workspace(db, workspace)
        return transfers.take_in(db, who, state, document, here.keyring)


def standing(here: Installation, workspace: Workspace) -> str:
    with here.database.reading() as db:
        state = states.of_workspace(db, workspace)
        return transfers.standing(db, state, here.keyring, here.blobs)


def change(here: Installation, workspace: Workspace, **values: Any) -> None:
    with here.database.transaction() as db:
        db.execute(update(State).where(State.workspace_id == workspace.id).values(values))


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
    with here.database.reading() as db:
        assert states.of_workspace(db, workspace).current == 1


def test_nothing_is_taken_in_under_a_lock_or_by_a_run_that_was_taken_away(
    here: Installation, workspace: Workspace, run: Run
) -> None:
    with here.database.transaction() as db:
        locks.acquire(db, SYSTEM, states.of_workspace(db, workspace), LockInfo("of-ann"))
    with pytest.raises(Locked):
        take_in(here, workspace, state_document())

    with here.database.transaction() as db:
        db.execute(update(Run).values(lease_expires_at=now(-timedelta(seconds=1))))
    with here.database.transaction() as db:
        claims.expire_leases(db)
    with pytest.raises(Conflict) as late:
        take_in(here, workspace, state_document(), itself(run))
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
        with here.database.transaction() as db:
            queued = queue.queue(db, SYSTEM, workspace, operation)
            queued.status = status
            queued.detection = {"verdict": verdict, "inject": inject}

    with here.database.reading() as db:
        assert transfers.elsewhere(db, workspace) == known


def test_only_who_holds_the_lock_archives_and_a_person_opens_it_again(
    here: Installation, workspace: Workspace, run: Run
) -> None:
    take_in(here, workspace, state_document())
    refusals: list[Error] = []
    with here.database.transaction() as db:
        state = states.of_workspace(db, workspace)
        with pytest.raises(Conflict) as refused:
            archive.archive(db, itself(run), state, "mine", "there")
        refusals.append(refused.value)
        locks.acquire(db, itself(run), state, LockInfo("mine"))
        archive.archive(db, itself(run), state, "mine", "there")
        archive.archive(db, itself(run), state, "mine", "there")
        with pytest.raises(Gone) as gone:
            archive.refuse(state)
        refusals.append(gone.value)
        assert not locks.get(db, state).held

        archive.unarchive(db, SYSTEM, state)
        archive.unarchive(db, SYSTEM, state)
        archive.refuse(state)

    assert [error.code for error in refusals] == ["lock-lost", "state-archived"]
    assert "there" in refusals[1].message


@pytest.mark.parametrize(
    ("operation", "archived", "said"),
    [
        ("import-state", None, "import-state may be queued again"),
        ("export-state", None, "still the one in use"),
        ("export-state", "the bucket", "moved to the bucket"),
        ("apply", None, "compare it with what really exists"),
    ],
)
def test_a_transfer_that_was_lost_says_where_the_state_is(
    here: Installation, workspace: Workspace, operation: str, archived: str | None, said: str
) -> None:
    with here.database.transaction() as db:
        queued = queue.queue(db, SYSTEM, workspace, operation)
        claimed = claims.claim(db, queued.id, "w1", LEASE)
        assert claimed is not None
        for status in ("planning", "planned", "applying"):
            moves.move(db, claimed, status)
        db.execute(update(Run).values(lease_expires_at=now(-timedelta(seconds=1))))
    if archived:
        change(here, workspace, archived_at=now(), archived_to=archived)

    with here.database.transaction() as db:
        claims.expire_leases(db)

    with here.database.reading() as db:
        lost = db.get_one(Run, claimed.id)
        assert (lost.status, lost.error_code) == ("lost", "worker-lost")
        assert said in (lost.error_message or "")
