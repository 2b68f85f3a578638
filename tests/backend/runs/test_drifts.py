"""The last result of a drift detection is kept with its workspace."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from backend.db import now
from backend.documents.intake import receive
from backend.errors import NotFound
from backend.models import Drift, Run, StateVersion, Step, Workspace
from backend.runs import claims, drifts, moves, queue
from backend.runs.drifts import Found
from backend.states import deleting, states, workspaces
from backend.transactions import Caller, Installation
from tests.support.documents import state_document
from tests.support.rows import add_workspaces

LEASE = timedelta(seconds=30)
NOTHING = Found(0, 0, 3, b'{"resources": []}')
SOMETHING = Found(1, 2, 0, b'{"resources": ["canary-in-the-drift"]}')


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    return add_workspaces(here, "one")[0]


def looking(here: Installation, workspace: Workspace, **fields: object) -> Run:
    """A run that has begun to look for drift."""
    with here.itself.transaction() as tx:
        new = queue.NewRun("drift", **fields)  # type: ignore[arg-type]
        run_id = queue.queue(tx, workspace, new).id
    with here.itself.transaction() as tx:
        run = claims.claim(tx, run_id, "w1", LEASE)
    assert run is not None
    with here.itself.transaction() as tx:
        tx.db.add(Step(run_id=run.id, epoch=run.epoch, position=1, name="plan"))
    return run


def tell(here: Installation, run: Run, found: Found) -> None:
    with Caller(here, claims.itself(run)).transaction() as tx:
        drifts.keep(tx, found)


def end(here: Installation, run: Run) -> None:
    for status in ("planning", "planned_and_finished"):
        with Caller(here, claims.itself(run)).transaction() as tx:
            moves.move(tx, claims.own(tx), status)


def kept(here: Installation, workspace: Workspace) -> drifts.Detail:
    with here.itself.reading() as tx:
        return drifts.get(tx, tx.db.get_one(Workspace, workspace.id))


def test_nothing_found_is_a_result_too_and_a_later_one_takes_its_place(
    here: Installation, workspace: Workspace
) -> None:
    with pytest.raises(NotFound) as unknown:
        kept(here, workspace)
    first = looking(here, workspace)
    tell(here, first, NOTHING)
    nothing = kept(here, workspace)
    end(here, first)
    second = looking(here, workspace, targets=["a.b"])
    tell(here, second, SOMETHING)
    something = kept(here, workspace)

    assert unknown.value.code == "drift-unknown"
    assert (nothing.drift.run_id, nothing.drift.resources, nothing.drift.unimportant) == (
        first.id, 0, 3,
    )  # fmt: skip
    assert (nothing.drift.partial, something.drift.partial) == (False, True)
    assert (something.drift.run_id, something.drift.outputs) == (second.id, 2)
    assert something.content == json.loads(SOMETHING.content)
    with here.itself.reading() as tx:
        [row] = tx.db.scalars(select(Drift))
    assert b"canary" not in row.sealed


def test_who_has_looked_earlier_and_was_slow_replaces_nothing(
    here: Installation, workspace: Workspace
) -> None:
    slow = looking(here, workspace)
    with here.itself.transaction() as tx:
        earlier = update(Step).values(started_at=now(-timedelta(minutes=1)))
        tx.db.execute(earlier.where(Step.run_id == slow.id))
        tx.db.execute(update(Run).where(Run.id == slow.id).values(blocking=False))
    quick = looking(here, workspace)

    tell(here, quick, NOTHING)
    tell(here, slow, SOMETHING)

    assert kept(here, workspace).drift.run_id == quick.id


def test_a_state_that_was_written_since_makes_it_old(
    here: Installation, workspace: Workspace
) -> None:
    run = looking(here, workspace)
    tell(here, run, NOTHING)
    before = kept(here, workspace).state_is_newer
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, tx.db.get_one(Workspace, workspace.id))
        document = receive(io.BytesIO(state_document(1)), 10_000, here.blobs)
        states.write(tx, state, document, None)
        later = update(StateVersion).values(created_at=now(timedelta(seconds=1)))
        tx.db.execute(later)

    assert before is False
    assert kept(here, workspace).state_is_newer is True


def test_a_run_that_lost_its_claim_keeps_nothing(here: Installation, workspace: Workspace) -> None:
    run = looking(here, workspace)
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).where(Run.id == run.id).values(epoch=Run.epoch + 1))

    with pytest.raises(moves.Moved):
        tell(here, run, SOMETHING)

    with pytest.raises(NotFound):
        kept(here, workspace)


def test_it_goes_with_its_workspace(here: Installation, workspace: Workspace) -> None:
    run = looking(here, workspace)
    tell(here, run, SOMETHING)
    end(here, run)

    with here.itself.transaction() as tx:
        mine = tx.db.get_one(Workspace, workspace.id)
        agreed = deleting.Agreed(runs=True, state=True)
        deleting.delete(tx, workspaces.named(tx, mine.project.name, mine.name), agreed)

    with here.itself.reading() as tx:
        assert tx.db.scalar(select(func.count()).select_from(Drift)) == 0
