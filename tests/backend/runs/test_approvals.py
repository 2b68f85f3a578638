"""The two legs of a run: planned by one claim, approved by somebody, applied by another claim."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from backend.catalogue import variables
from backend.catalogue.variables import NewVariable
from backend.db import now
from backend.errors import Conflict, Unreadable
from backend.models import Plan, PlanPiece, Run, State, Workspace
from backend.runs import approvals, claims, comments, inputs, moves, plans, queue
from backend.runs.plans import Bundle, Made
from backend.sealing import proven
from backend.states import states
from backend.transactions import Caller, Installation, Transaction
from tests.backend.runs.test_runs import LEASE, claim, move, queued, row, silence
from tests.support.rows import add_workspaces

BUNDLE = b"the plan and its files"


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    [made] = add_workspaces(here, "one")
    return made


@pytest.fixture
def planned(here: Installation, workspace: Workspace) -> Run:
    """A run that waits for an approval."""
    return planned_in(here, workspace)


def planned_in(here: Installation, workspace: Workspace, operation: str = "apply") -> Run:
    run = claim(here, queued(here, workspace, operation))
    assert run is not None
    with Caller(here, claims.itself(run)).transaction() as tx:
        moves.move(tx, claims.own(tx), "planning")
        plans.keep_piece(tx, 0, BUNDLE)
    with here.itself.reading() as tx:
        made_from = inputs.of(tx, tx.db.get_one(Run, run.id))
        state = states.of_workspace(tx.db, tx.db.get_one(Workspace, workspace.id))
        url = f"{here.settings.url}/api/terraform/state/{state.workspace.project.name}/{workspace.name}"
        facts = Made(made_from, url, state.current, "c" * 40, "terraform", "1.11.4", None)
    with Caller(here, claims.itself(run)).transaction() as tx:
        plans.keep(tx, Bundle("0" * 64, 1), facts)
        approvals.await_one(tx)
    return row(here, run.id)


def decide(here: Installation, run: Run, how: Callable[..., Run], *said: str) -> Run:
    with here.itself.transaction() as tx:
        project = tx.db.get_one(Run, run.id).workspace.project
        how(tx, project, run.id, *said)
    return row(here, run.id)


def test_a_planned_run_is_with_no_worker_and_no_lease_ends_it(
    here: Installation, planned: Run
) -> None:
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).values(planned_at=now(-timedelta(days=30))))
        taken = claims.expire_leases(tx)

    assert taken == []
    after = row(here, planned.id)
    assert (after.status, after.worker, after.lease_expires_at) == ("planned", None, None)
    assert claim(here, planned.id) is None


def test_an_approved_plan_is_claimed_once_and_its_worker_gets_what_was_kept(
    here: Installation, planned: Run
) -> None:
    approved = decide(here, planned, approvals.approve, "looks good")

    first, second = claim(here, planned.id, "w2"), claim(here, planned.id, "w3")

    assert approved.approved_by == "stateroom"
    assert second is None
    assert first is not None
    assert (first.status, first.epoch) == ("preparing", planned.epoch + 1)
    with Caller(here, claims.itself(first)).reading() as tx:
        assert b"".join(plans.pieces(tx)) == BUNDLE
        assert [c.text for c in comments.of_run(tx.db, first)] == ["looks good"]
    move(here, first, "applying", "applied")
    with here.itself.reading() as tx:
        assert tx.db.scalars(select(PlanPiece)).all() == []


def test_of_two_approvers_at_once_one_is_told_who_was_first(
    here: Installation, planned: Run
) -> None:
    told: list[str] = []

    def approve() -> None:
        try:
            decide(here, planned, approvals.approve)
            told.append("approved")
        except Conflict as refused:
            told.append(refused.code)

    at_once(approve, approve, approve)

    assert sorted(told) == ["approved", "run-approved", "run-approved"]


def test_of_approve_and_discard_at_once_the_run_is_either_applied_or_discarded(
    here: Installation, workspace: Workspace
) -> None:
    for _ in range(5):
        run = planned_in(here, workspace)

        at_once(
            partial(quietly, partial(decide, here, run, approvals.approve)),
            partial(quietly, partial(decide, here, run, approvals.discard)),
        )

        ended = row(here, run.id)
        taken = claim(here, run.id)
        assert (ended.status, taken is None) in {("discarded", True), ("planned", False)}
        if taken is not None:
            assert ended.approved_at is not None
            move(here, taken, "applying", "applied")


def quietly(do: Callable[[], Any]) -> None:
    try:
        do()
    except Conflict:
        return


def at_once(*each: Callable[[], None]) -> None:
    threads = [threading.Thread(target=one) for one in each]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_worker_that_falls_silent_before_the_apply_leaves_the_plan_approved(
    here: Installation, planned: Run
) -> None:
    decide(here, planned, approvals.approve)
    first = claim(here, planned.id)
    assert first is not None

    again = silence(here, first)

    assert again == [planned.id]
    assert row(here, planned.id).status == "planned"
    second = claim(here, planned.id, "w2")
    assert second is not None
    move(here, second, "applying", "applied")


def test_a_worker_that_falls_silent_in_the_apply_loses_the_run(
    here: Installation, planned: Run
) -> None:
    decide(here, planned, approvals.approve)
    run = claim(here, planned.id)
    assert run is not None
    move(here, run, "applying")

    silence(here, run)

    assert row(here, run.id).status == "lost"
    assert claim(here, run.id) is None


def write_a_version(tx: Transaction, workspace: Workspace) -> None:
    tx.db.execute(update(State).where(State.workspace_id == workspace.id).values(current=1))
    proven.accept(tx.db, State, State.workspace_id == workspace.id)


def set_a_variable(tx: Transaction, workspace: Workspace) -> None:
    here = tx.db.get_one(Workspace, workspace.id)
    variables.create(tx, here, NewVariable("terraform", "size", {"value": "2"}))


def change_the_template(tx: Transaction, workspace: Workspace) -> None:
    here = tx.db.get_one(Workspace, workspace.id)
    assert here.template is not None
    here.template.path = "elsewhere"


def choose_another_version(tx: Transaction, workspace: Workspace) -> None:
    here = tx.db.get_one(Workspace, workspace.id)
    assert here.template is not None
    here.template.tool_version = "1.12.0"


CHANGES = {
    "the state": write_a_version,
    "the variables": set_a_variable,
    "the template": change_the_template,
    "the template ": choose_another_version,
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_plan_whose_inputs_have_changed_is_stale_and_says_what(
    here: Installation, workspace: Workspace, planned: Run, what: str
) -> None:
    with here.itself.transaction() as tx:
        CHANGES[what](tx, workspace)

    stale = decide(here, planned, approvals.approve)

    assert (stale.status, stale.error_code) == ("stale", "plan-stale")
    assert stale.error_message is not None
    assert what.strip() in stale.error_message
    assert f"stateroom runs retry {planned.id}" in stale.error_message
    assert claim(here, planned.id) is None
    assert claim(here, queued(here, workspace)) is not None


def test_a_stale_plan_is_found_without_anybody_approving_it(
    here: Installation, workspace: Workspace, planned: Run
) -> None:
    with here.itself.transaction() as tx:
        write_a_version(tx, workspace)

    with here.itself.transaction() as tx:
        approvals.look_at_planned(tx, "", 10)

    assert row(here, planned.id).status == "stale"
    with pytest.raises(Conflict, match="changed since: the state") as refused:
        decide(here, planned, approvals.approve)
    assert refused.value.code == "plan-stale"


def test_what_has_not_changed_stays_planned(here: Installation, planned: Run) -> None:
    with here.itself.transaction() as tx:
        assert approvals.look_at_planned(tx, "", 10) == ""

    assert row(here, planned.id).status == "planned"


def test_nobody_approves_a_plan_in_the_database(here: Installation, planned: Run) -> None:
    with here.itself.transaction() as tx:
        approved = update(Run).where(Run.id == planned.id)
        tx.db.execute(approved.values(approved_at=now(), approved_by="eve"))
        tx.db.execute(update(Plan).values(approved_by="eve"))
    run = claim(here, planned.id)
    assert run is not None

    with here.itself.transaction() as tx, pytest.raises(Unreadable):
        plans.approved(tx, tx.db.get_one(Run, run.id))


def test_a_piece_of_another_plan_does_not_open(here: Installation) -> None:
    one, two = add_workspaces(here, "one", "two")
    first, second = planned_in(here, one), planned_in(here, two)
    with here.itself.transaction() as tx:
        other = tx.db.scalars(select(PlanPiece).where(PlanPiece.run_id == second.id)).one()
        tx.db.execute(
            update(PlanPiece).where(PlanPiece.run_id == first.id).values(sealed=other.sealed)
        )
    decide(here, first, approvals.approve)
    run = claim(here, first.id)
    assert run is not None

    with Caller(here, claims.itself(run)).reading() as tx, pytest.raises(Unreadable):
        list(plans.pieces(tx))


def test_a_planned_run_holds_its_workspace_for_changes_and_lets_plans_pass(
    here: Installation, workspace: Workspace, planned: Run
) -> None:
    change, plan = queued(here, workspace, "destroy"), queued(here, workspace, "plan")

    with here.itself.reading() as tx:
        offered = claims.claimable(tx.db, 5)
        blocker = queue.blocked_by(tx.db, tx.db.get_one(Run, change))
        free = queue.blocked_by(tx.db, tx.db.get_one(Run, plan))

    assert offered == [plan]
    assert blocker is not None
    assert blocker.id == planned.id
    assert free is None
    assert claim(here, change) is None
    assert claim(here, plan) is not None
    decide(here, planned, approvals.discard)
    assert claim(here, change) is not None


def test_many_plans_never_hold_up_an_apply(here: Installation, workspace: Workspace) -> None:
    earlier = [queued(here, workspace, "plan") for _ in range(5)]
    apply = queued(here, workspace, "apply")

    with here.itself.reading() as tx:
        offered = claims.claimable(tx.db, 3)

    assert offered == [apply, *earlier[:2]]


def test_a_planned_run_that_is_canceled_ends_at_once(here: Installation, planned: Run) -> None:
    with here.itself.transaction() as tx:
        project = tx.db.get_one(Run, planned.id).workspace.project
        queue.cancel(tx, project, planned.id, force=False)

    assert row(here, planned.id).status == "canceled"


def test_a_run_that_was_canceled_while_it_planned_does_not_wait_for_an_approval(
    here: Installation, workspace: Workspace
) -> None:
    run = claim(here, queued(here, workspace))
    assert run is not None
    move(here, run, "planning")
    with here.itself.transaction() as tx:
        project = tx.db.get_one(Run, run.id).workspace.project
        queue.cancel(tx, project, run.id, force=False)

    with Caller(here, claims.itself(run)).transaction() as tx:
        approvals.await_one(tx)

    assert row(here, run.id).status == "canceled"


@pytest.mark.parametrize(
    ("rule", "summary", "may_approve", "approved"),
    [
        ("never", {"add": 1}, True, False),
        ("unless_destroys", {"add": 1, "change": 2}, True, True),
        ("unless_destroys", {"destroy": 1}, True, False),
        ("unless_destroys", {"replace": 1}, True, False),
        ("always", {"destroy": 9}, True, True),
        ("always", {"add": 1}, False, False),
    ],
)
def test_a_template_says_which_plans_need_nobody(
    here: Installation,
    workspace: Workspace,
    rule: str,
    summary: dict[str, int],
    may_approve: bool,  # noqa: FBT001 as above
    approved: bool,  # noqa: FBT001 as above
) -> None:
    run = claim(here, queued(here, workspace))
    assert run is not None
    with here.itself.transaction() as tx:
        own = tx.db.get_one(Run, run.id)
        own.template.auto_approve, own.may_approve = rule, may_approve

    with Caller(here, claims.itself(run)).transaction() as tx:
        decision = approvals.judge(tx, claims.own(tx), {"summary": summary, "resources": []})

    assert (decision.approved_by is not None) is approved


def test_a_run_that_goes_back_is_never_approved_by_itself(
    here: Installation, workspace: Workspace
) -> None:
    run = claim(here, queued(here, workspace))
    assert run is not None
    with here.itself.transaction() as tx:
        own = tx.db.get_one(Run, run.id)
        own.template.auto_approve = "always"
        own.auto_approve, own.goes_back = True, {"reason": "commit"}

    with Caller(here, claims.itself(run)).transaction() as tx:
        plan = {"summary": {"add": 1}, "resources": []}
        assert approvals.judge(tx, claims.own(tx), plan).approved_by is None


def test_a_lease_is_renewed_in_the_second_leg(here: Installation, planned: Run) -> None:
    decide(here, planned, approvals.approve)
    run = claim(here, planned.id)
    assert run is not None

    with Caller(here, claims.itself(run)).transaction() as tx:
        assert claims.renew(tx, LEASE) == (False, False)
