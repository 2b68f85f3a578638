"""What a run waits for, that it is said, and that nothing waits without reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from backend.db import now
from backend.models import Lock, Plan, Project, Run, Worker, Workspace
from backend.runs import claims, queue, tool_needs, waiting, workers
from backend.runs.tool_needs import Need
from backend.states import freezing, locks, states
from backend.states.locks import LockInfo
from backend.transactions import Installation
from tests.backend.runs.test_approvals import planned_in
from tests.backend.runs.test_runs import claim, move, queued, row
from tests.support.rows import add_workspaces


@pytest.fixture
def workspace(here: Installation) -> Workspace:
    [made] = add_workspaces(here, "one")
    return made


@pytest.fixture(autouse=True)
def a_worker(here: Installation) -> None:
    with here.itself.transaction() as tx:
        workers.beat(tx, "w1", workers.Abilities(4, "namespaces"))


def reasons(here: Installation, run_id: str) -> list[tuple[str, str]]:
    with here.itself.reading() as tx:
        found = waiting.find(tx, tx.db.get_one(Run, run_id))
    return [(reason.kind, reason.message) for reason in found.reasons]


def kinds(here: Installation, run_id: str) -> list[str]:
    return [kind for kind, _ in reasons(here, run_id)]


def offered(here: Installation, *labels: str, most: int = 0) -> Sequence[str]:
    with here.itself.reading() as tx:
        return claims.claimable(tx.db, 10, labels or ("default",), most)


def lock(here: Installation, workspace: Workspace) -> None:
    """As a terraform on a laptop does it."""
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, workspace)
        somebody = replace(tx, principal=replace(tx.principal, name="annas-laptop"))
        locks.acquire(somebody, state, LockInfo("lock-1", {"ID": "lock-1"}))


def unlock(here: Installation) -> None:
    with here.itself.transaction() as tx:
        tx.db.execute(update(Lock).values(held=False))


def test_a_run_that_nothing_holds_back_waits_for_nothing(
    here: Installation, workspace: Workspace
) -> None:
    assert reasons(here, queued(here, workspace)) == []


def test_a_run_behind_another_says_whose_it_is_and_what_it_does(
    here: Installation, workspace: Workspace
) -> None:
    planned = planned_in(here, workspace)
    second, third = queued(here, workspace), queued(here, workspace)

    [(kind, said)] = reasons(here, second)

    assert kind == "run"
    assert planned.id in said
    assert "by stateroom" in said
    assert "waits for an approval" in said
    assert kinds(here, planned.id) == ["approval"]
    with here.itself.reading() as tx:
        places = [waiting.find(tx, tx.db.get_one(Run, run)).position for run in (second, third)]
    assert places == [2, 3]


def test_a_lock_from_outside_makes_a_change_wait_and_lets_a_plan_pass(
    here: Installation, workspace: Workspace
) -> None:
    lock(here, workspace)
    change, plan = queued(here, workspace), queued(here, workspace, "plan")

    assert offered(here) == [plan]
    assert claim(here, change) is None
    [(kind, said)] = reasons(here, change)
    assert kind == "lock"
    assert "the lock of annas-laptop since 20" in said
    unlock(here)
    assert claim(here, change) is not None


def test_an_approved_plan_waits_for_a_lock_too(here: Installation, workspace: Workspace) -> None:
    planned = planned_in(here, workspace)
    with here.itself.transaction() as tx:
        approved = update(Run).where(Run.id == planned.id)
        tx.db.execute(approved.values(approved_at=now(), approved_by="ann"))
    lock(here, workspace)

    assert claim(here, planned.id) is None
    assert kinds(here, planned.id) == ["lock"]


def test_a_lock_that_stays_ends_the_run_and_names_its_holder(
    here: Installation, workspace: Workspace
) -> None:
    lock(here, workspace)
    run_id = queued(here, workspace)
    plan = queued(here, workspace, "plan")
    with here.itself.transaction() as tx:
        assert claims.end_waits(tx) == []
        tx.db.execute(update(Run).values(created_at=now(-timedelta(hours=2))))
        tx.db.execute(update(Lock).values(acquired_at=now(-timedelta(hours=2))))

    with here.itself.transaction() as tx:
        assert claims.end_waits(tx) == [run_id]

    ended = row(here, run_id)
    assert (ended.status, ended.error_code) == ("errored", "state-locked")
    assert "annas-laptop" in str(ended.error_message)
    assert row(here, plan).status == "queued"


def test_a_lock_that_came_between_queues_the_run_again_without_counting(
    here: Installation, workspace: Workspace
) -> None:
    for _ in range(claims.MAX_ATTEMPTS + 2):
        run = claim(here, row(here, queued_once(here, workspace)).id)
        assert run is not None
        with here.itself.transaction() as tx:
            assert claims.give_way(replace(tx, principal=claims.itself(run)))
        assert row(here, run.id).status == "queued"


def queued_once(here: Installation, workspace: Workspace) -> str:
    with here.itself.reading() as tx:
        waits = claims.claimable(tx.db, 1)
    return waits[0] if waits else queued(here, workspace)


def test_a_frozen_workspace_says_who_froze_it(here: Installation, workspace: Workspace) -> None:
    run_id = queued(here, workspace)
    with here.itself.transaction() as tx:
        freezing.freeze(tx, tx.db.get_one(Workspace, workspace.id), "the audit")

    [(kind, said)] = reasons(here, run_id)

    assert kind == "frozen"
    assert "stateroom: the audit" in said


def test_a_project_has_only_so_many_runs_at_work(here: Installation) -> None:
    one, two = add_workspaces(here, "one", "two")
    first, second = queued(here, one), queued(here, two)
    with here.itself.transaction() as tx:
        tx.db.execute(update(Project).values(max_runs=1))

    at_work = claim(here, first)

    assert at_work is not None
    assert offered(here) == []
    assert claim(here, second) is None
    assert reasons(here, second) == [("limit", "the limit of the project (1)")]
    move(here, at_work, "planning", "planned_and_finished")
    assert claim(here, second) is not None


def test_an_installation_has_only_so_many_runs_at_work(here: Installation) -> None:
    one, two = add_workspaces(here, "one", "two")
    assert claim(here, queued(here, one)) is not None
    second = queued(here, two)

    assert offered(here, most=1) == []
    assert offered(here, most=2) == [second]


def test_a_label_is_for_the_workers_that_listen_to_it(
    here: Installation, workspace: Workspace
) -> None:
    with here.itself.transaction() as tx:
        template = tx.db.get_one(Workspace, workspace.id).template
        assert template is not None
        template.queue = "production"
    run_id = queued(here, workspace)

    assert offered(here) == []
    assert claim(here, run_id) is None
    assert offered(here, "default", "production") == [run_id]
    [(kind, said)] = reasons(here, run_id)
    assert kind == "queue"
    assert "stateroom worker --queue production" in said
    with here.itself.transaction() as tx:
        workers.beat(tx, "w2", workers.Abilities(4, "namespaces", ["production"]))
    assert reasons(here, run_id) == []


def with_tool(here: Installation, workspace: Workspace, version: str | None) -> None:
    with here.itself.transaction() as tx:
        template = tx.db.get_one(Workspace, workspace.id).template
        assert template is not None
        template.tool_version = version


def has_tools(here: Installation, *versions: str, installs: bool = False) -> None:
    held = [{"name": "terraform", "version": v, "origin": "PATH"} for v in versions]
    with here.itself.transaction() as tx:
        able = workers.Abilities(4, "namespaces", tools=held, installs_tools=installs)
        workers.beat(tx, "w1", able)


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        ("1.0.99", True),
        ("~> 1.9.0", True),
        ("1.11", False),
        ("~> 1.9", False),
        ("latest", False),
        ("auto", False),
        (None, False),
    ],
)
def test_a_version_that_no_worker_has_is_said_with_those_that_are_there(
    here: Installation, workspace: Workspace, asked: str | None, *, waits: bool
) -> None:
    has_tools(here, "1.11.4", "1.8.4")
    with_tool(here, workspace, asked)
    run_id = queued(here, workspace)

    found = reasons(here, run_id)

    assert [kind for kind, _ in found] == (["tool"] if waits else [])
    if waits:
        assert f"a worker that has terraform {asked} (they have 1.11.4, 1.8.4)" in found[0][1]
        assert "stateroom tools install terraform" in found[0][1]


@pytest.mark.parametrize("asked", ["1.11.4", "auto", None])
def test_a_worker_without_the_tool_is_waited_for_unless_it_installs_tools(
    here: Installation, workspace: Workspace, asked: str | None
) -> None:
    has_tools(here)
    with_tool(here, workspace, asked)
    run_id = queued(here, workspace)

    assert kinds(here, run_id) == ["tool"]

    has_tools(here, installs=True)

    assert kinds(here, run_id) == []


def test_a_worker_of_an_older_release_may_have_every_tool(
    here: Installation, workspace: Workspace
) -> None:
    with_tool(here, workspace, "1.0.99")
    run_id = queued(here, workspace)

    assert kinds(here, run_id) == []


def test_a_run_is_not_offered_to_a_worker_that_lacks_its_tool(
    here: Installation, workspace: Workspace
) -> None:
    with_tool(here, workspace, "1.0.99")
    first = queued(here, workspace)

    with here.itself.reading() as tx:
        needs = tool_needs.of_waiting(tx.db)
        lacked = [need for need in needs if need.version == "1.0.99"]
        offered = claims.claimable(tx.db, 10, lacking=lacked)
        all_of_them = claims.claimable(tx.db, 10)

        others = claims.claimable(tx.db, 10, lacking=[Need("tofu", "1.0.99")])

    assert needs == {Need("terraform", "1.0.99")}
    assert list(offered) == []
    assert list(all_of_them) == list(others) == [first]


def test_an_approved_plan_needs_the_version_that_it_was_made_with(
    here: Installation, workspace: Workspace
) -> None:
    run_id = planned_in(here, workspace).id
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).values(approved_at=now()))

    with here.itself.reading() as tx:
        plan = tx.db.get_one(Plan, run_id)
        need = tool_needs.of_run(tx.db, run_id)
        assert need == Need(plan.tool, plan.tool_version)
        assert tool_needs.of_waiting(tx.db) == {need}
        assert list(claims.claimable(tx.db, 10)) == [run_id]
        assert list(claims.claimable(tx.db, 10, lacking=[need])) == []


def test_without_a_worker_it_is_said_since_when(here: Installation, workspace: Workspace) -> None:
    run_id = queued(here, workspace)
    with here.itself.transaction() as tx:
        tx.db.execute(update(Worker).values(seen_at=now(-timedelta(minutes=12))))

    assert reasons(here, run_id) == [("worker", "a worker: none has been seen for 12 min")]


def test_a_higher_priority_goes_first_but_not_in_its_own_workspace(here: Installation) -> None:
    one, two = add_workspaces(here, "one", "two")

    def with_priority(workspace: Workspace, priority: str) -> str:
        with here.itself.transaction() as tx:
            new = queue.NewRun("apply", priority=priority)
            return queue.queue(tx, tx.db.get_one(Workspace, workspace.id), new).id

    low = with_priority(one, "low")
    with_priority(one, "high")
    normal = with_priority(two, "normal")

    assert offered(here) == [normal, low]
