"""What it takes to approve a plan: above all whether it destroys everything."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import update

from backend.models import PlanDocument, Run
from backend.runs import outlooks, plan_documents
from backend.runs.plan_documents import Part
from backend.runs.plan_index import Head, Index
from backend.transactions import Installation
from tests.backend.runs.test_approvals import planned_in
from tests.support.databases import one_database
from tests.support.rows import add_workspaces

pytestmark = one_database

GONE = [("a.one", "delete"), ("a.two", "delete")]


def planned(here: Installation, operation: str = "apply", **changes: int) -> Run:
    [workspace] = add_workspaces(here, "one")
    run = planned_in(here, workspace, operation)
    with here.itself.transaction() as tx:
        tx.db.execute(update(Run).where(Run.id == run.id).values(changes=changes))
    return run


def keep_index(here: Installation, run: Run, heads: list[tuple[str, str]]) -> None:
    """What the plan of the run says: addresses, each with what happens to it."""
    told = [
        Head(address, "a", action, False, False, action != "no-op", 0, at)
        for at, (address, action) in enumerate(heads)
    ]
    index = Index({}, True, told, [], 0, 0, 0, 0, 0)
    with here.itself.transaction() as tx:
        part = Part("index", 0, msgspec.json.encode(index))
        tx.db.add(plan_documents.seal(tx.keyring, run.id, run.epoch, part))


def destroys_all(here: Installation, run: Run) -> bool:
    with here.itself.reading() as tx:
        return outlooks.destroys_all(tx, tx.db.get_one(Run, run.id))


@pytest.mark.parametrize(
    ("stays", "everything"),
    [
        ([], True),
        ([("data.a.b", "read"), ("module.m.data.a.b", "no-op")], True),
        ([("ephemeral.a.b", "no-op")], True),
        ([("a.new", "create")], True),
        ([("a.three", "replace")], False),
        ([("a.three", "no-op")], False),
        ([("module.m.a.three", "update")], False),
    ],
)
def test_a_plan_destroys_all_when_no_resource_stays(
    here: Installation, stays: list[tuple[str, str]], *, everything: bool
) -> None:
    run = planned(here, add=0, destroy=2, replace=0)
    keep_index(here, run, [*GONE, *stays])

    assert destroys_all(here, run) is everything


@pytest.mark.parametrize(
    "changes",
    [
        {"add": 1, "destroy": 0},
        {"add": 3, "destroy": 2, "replace": 2},
        {},
    ],
)
def test_a_plan_that_only_replaces_is_not_looked_at(
    here: Installation, changes: dict[str, int]
) -> None:
    assert not destroys_all(here, planned(here, "apply", **changes))


def test_a_destroy_always_counts_as_destroying_all(here: Installation) -> None:
    assert destroys_all(here, planned(here, "destroy", destroy=1))


def test_a_plan_that_cannot_be_read_may_destroy_all(here: Installation) -> None:
    run = planned(here, add=0, destroy=2, replace=0)
    assert destroys_all(here, run)
    keep_index(here, run, [*GONE, ("a.three", "no-op")])
    assert not destroys_all(here, run)

    with here.itself.transaction() as tx:
        tx.db.execute(update(PlanDocument).values(sealed=b"damaged"))

    assert destroys_all(here, run)


def test_an_approved_run_has_no_outlook(here: Installation) -> None:
    run = planned(here, destroy=1)
    with here.itself.transaction() as tx:
        found = outlooks.of_run(tx, tx.db.get_one(Run, run.id))
        tx.db.execute(update(Run).values(status="applied"))
        ended = outlooks.of_run(tx, tx.db.get_one(Run, run.id, populate_existing=True))

    assert found is not None
    assert found.refused is None
    assert ended is None
