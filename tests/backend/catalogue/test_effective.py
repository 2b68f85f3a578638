"""Which value of a variable counts: the strongest source that has one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from backend.catalogue import effective, variables
from backend.models import ChosenSet, Project, Run, Variable, VariableSet, Workspace, new_id
from backend.runs import queue
from backend.transactions import Installation, Transaction
from tests.support.databases import one_database
from tests.support.rows import add_workspaces

pytestmark = one_database

NAMES = ("a", "b", "c")
KINDS = ("terraform", "environment")
# a source: a set by its number, the workspace, or the run; with the names that it has
SOURCES = ("set 0", "set 1", "set 2", "workspace", "run")
Values = dict[tuple[str, str, str], str]


@pytest.fixture
def store(here: Installation) -> Callable[[list[int], Values], tuple[str, str]]:
    """Stores exactly these variables; the workspace chooses these sets. Its id, and a run's."""
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        at = tx.db.get_one(Workspace, workspace.id)
        for number in range(3):
            tx.db.add(VariableSet(id=f"set{number}", project_id=at.project_id, name=f"s{number}"))
        run_id = queue.queue(tx, at, queue.NewRun("plan")).id

    def store(chosen: list[int], values: Values) -> tuple[str, str]:
        with here.itself.transaction() as tx:
            for variable in tx.db.query(Variable):
                tx.db.delete(variable)
            tx.db.execute(delete(ChosenSet))
            tx.db.flush()
            for position, number in enumerate(chosen):
                link = ChosenSet(workspace_id=workspace.id, set_id=f"set{number}")
                link.position = position
                tx.db.add(link)
            for (source, kind, name), value in values.items():
                add(tx, source, kind, name, value, workspace.id, run_id)
        return workspace.id, run_id

    return store


def add(
    tx: Transaction, source: str, kind: str, name: str, value: str, workspace_id: str, run_id: str
) -> None:
    owners = {"workspace": {"workspace_id": workspace_id}, "run": {"run_id": run_id}}
    owner = owners.get(source) or {"set_id": source.replace(" ", "")}
    variable = Variable(id=new_id("var"), kind=kind, name=name, type="string", **owner)
    variables.assign(tx.keyring, variable, {"value": value})
    tx.db.add(variable)


PLACES = st.tuples(st.sampled_from(SOURCES), st.sampled_from(KINDS), st.sampled_from(NAMES))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([0, 1, 2]), unique=True),
    st.dictionaries(PLACES, st.text(st.characters(codec="utf-8", exclude_characters="\0"))),
    st.booleans(),
)
def test_the_strongest_source_that_has_a_variable_wins_and_the_others_are_hidden(
    here: Installation,
    store: Callable[[list[int], Values], tuple[str, str]],
    chosen: list[int],
    values: Values,
    of_run: bool,  # noqa: FBT001 hypothesis passes it
) -> None:
    workspace_id, run_id = store(chosen, values)
    order = [f"set {n}" for n in chosen] + ["workspace"] + (["run"] if of_run else [])

    with here.itself.reading() as tx:
        workspace = tx.db.get_one(Workspace, workspace_id)
        run = tx.db.get_one(Run, run_id) if of_run else None
        winners = effective.winners(tx.db, workspace, run)
        opened = effective.opened(tx.db, here.keyring, workspace, run)

    expected = {}
    for kind in KINDS:
        for name in NAMES:
            having = [source for source in order if (source, kind, name) in values]
            if having:
                expected[kind, name] = having[::-1]
    shown = {"set 0": "set s0", "set 1": "set s1", "set 2": "set s2"}
    found = {(w.kind, w.name): [str(w.source), *map(str, w.hides)] for w in winners}
    assert found == {
        place: [shown.get(source, source) for source in having]
        for place, having in expected.items()
    }
    assert [(v.kind, v.name, v.value) for v in opened] == [
        (kind, name, values[having[0], kind, name])
        for (kind, name), having in sorted(expected.items())
    ]


def test_equal_inputs_are_equal_whatever_source_they_come_from(
    here: Installation, store: Callable[[list[int], Values], tuple[str, str]]
) -> None:
    found = []
    for values in ({("set 1", "terraform", "a"): "1"}, {("workspace", "terraform", "a"): "1"}):
        workspace_id, _ = store([1], values)
        with here.itself.reading() as tx:
            workspace = tx.db.get_one(Workspace, workspace_id)
            found.append(effective.opened(tx.db, here.keyring, workspace))

    assert found[0] == found[1]
    assert "value" not in repr(found[0])


def test_a_set_of_another_project_gives_nothing(
    here: Installation, store: Callable[[list[int], Values], tuple[str, str]]
) -> None:
    workspace_id, _ = store([1], {("set 1", "terraform", "a"): "1"})
    with here.itself.transaction() as tx:
        tx.db.add(Project(id="other", name="other"))
        tx.db.flush()
        tx.db.get_one(VariableSet, "set1").project_id = "other"

    with here.itself.reading() as tx:
        assert effective.winners(tx.db, tx.db.get_one(Workspace, workspace_id)) == []
