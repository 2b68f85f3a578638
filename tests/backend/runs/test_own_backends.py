"""Workspaces with one backend outside of Stateroom: the second is refused, or they take turns."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from backend.errors import Conflict
from backend.models import Run, Workspace
from backend.runs import claims, moves, own_backends, queue
from backend.states import workspaces as operations
from backend.transactions import Caller, Installation
from tests.support.rows import add_workspaces

LEASE = timedelta(seconds=30)
S3 = "s3 bucket=states key=net"


@pytest.fixture
def workspaces(here: Installation) -> list[Workspace]:
    return add_workspaces(here, "one", "two")


def queued(here: Installation, workspace: Workspace, operation: str = "apply") -> str:
    with here.itself.transaction() as tx:
        return queue.queue(tx, workspace, queue.NewRun(operation)).id


def claim(here: Installation, run_id: str) -> Run | None:
    with here.itself.transaction() as tx:
        return claims.claim(tx, run_id, "w1", LEASE)


def begun(here: Installation, workspace: Workspace, operation: str = "apply") -> Run:
    run = claim(here, queued(here, workspace, operation))
    assert run is not None
    return run


def use(here: Installation, run: Run, identity: str | None = S3) -> str | None:
    """The code of the refusal, or None."""
    try:
        with Caller(here, claims.itself(run)).transaction() as tx:
            own_backends.use(tx, identity)
    except Conflict as refusal:
        return refusal.code
    return None


def end(here: Installation, run: Run) -> None:
    with Caller(here, claims.itself(run)).transaction() as tx:
        moves.move(tx, claims.own(tx), "errored")


def used(here: Installation, workspace: Workspace, operation: str = "apply") -> str | None:
    """A whole run that uses the backend."""
    run = begun(here, workspace, operation)
    refusal = use(here, run)
    end(here, run)
    return refusal


def share(here: Installation, workspace: Workspace, *, value: bool = True) -> None:
    with here.itself.transaction() as tx:
        found = tx.db.get_one(Workspace, workspace.id)
        operations.update(tx, found, shares_backend=value)


def recorded(here: Installation, workspace: Workspace) -> str | None:
    with here.itself.reading() as tx:
        return tx.db.get_one(Workspace, workspace.id).own_backend


def test_the_second_workspace_is_refused_and_the_first_is_named(
    here: Installation, workspaces: list[Workspace]
) -> None:
    one, two = workspaces
    assert used(here, one) is None

    run = begun(here, two)
    with (
        pytest.raises(Conflict) as refusal,
        Caller(here, claims.itself(run)).transaction() as tx,
    ):
        own_backends.use(tx, S3)

    assert refusal.value.code == "backend-shared"
    for words in ("the workspace one", S3, "set two --shares-backend", '"shares_backend": true'):
        assert words in refusal.value.message
    assert recorded(here, two) is None
    end(here, run)
    assert used(here, one) is None


def test_of_many_workspaces_at_once_one_gets_the_backend(here: Installation) -> None:
    runs = [begun(here, w) for w in add_workspaces(here, *(f"w{n}" for n in range(6)))]
    answers: list[str | None] = []

    threads = [threading.Thread(target=lambda r=run: answers.append(use(here, r))) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, answers)) == ["None", *["backend-shared"] * 5]


def test_workspaces_that_share_it_on_purpose_take_turns(
    here: Installation, workspaces: list[Workspace]
) -> None:
    one, two = workspaces
    share(here, two)
    assert (used(here, one), used(here, two)) == (None, None)
    at_work, waiting = begun(here, one), queued(here, two)

    with here.itself.reading() as tx:
        claimable = claims.claimable(tx.db, 10)
        blocker = queue.blocked_by(tx.db, tx.db.get_one(Run, waiting))

    assert claimable == []
    assert blocker is not None
    assert blocker.id == at_work.id
    assert claim(here, waiting) is None
    end(here, at_work)
    assert claim(here, waiting) is not None


def test_of_two_claims_at_once_that_share_it_one_wins(
    here: Installation, workspaces: list[Workspace]
) -> None:
    share(here, workspaces[1])
    assert [used(here, w) for w in workspaces] == [None, None]
    ids, won = [queued(here, w) for w in workspaces], []

    def try_it(run_id: str) -> None:
        if claim(here, run_id) is not None:
            won.append(run_id)

    threads = [threading.Thread(target=try_it, args=(run_id,)) for run_id in ids * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1


def test_a_run_that_meets_another_one_for_the_first_time_is_refused(
    here: Installation, workspaces: list[Workspace]
) -> None:
    one, two = workspaces
    share(here, two)
    assert use(here, begun(here, one)) is None

    assert use(here, begun(here, two)) == "backend-busy"


def test_who_no_longer_shares_it_is_refused_and_not_who_was_first(
    here: Installation, workspaces: list[Workspace]
) -> None:
    one, two = workspaces
    share(here, two)
    assert [used(here, w) for w in workspaces] == [None, None]

    share(here, two, value=False)

    assert (used(here, two), used(here, one)) == ("backend-shared", None)


def test_a_plan_of_another_branch_does_not_move_the_workspace(
    here: Installation, workspaces: list[Workspace]
) -> None:
    assert used(here, workspaces[0]) is None
    plan = begun(here, workspaces[0], "plan")

    assert use(here, plan, "s3 bucket=of-a-branch") is None

    assert recorded(here, workspaces[0]) == S3


def test_a_backend_that_its_workspace_has_left_is_free(
    here: Installation, workspaces: list[Workspace]
) -> None:
    one, two = workspaces
    assert used(here, one) is None
    run = begun(here, one)
    assert use(here, run, None) is None
    end(here, run)

    assert used(here, two) is None
