"""A refused write of a run is seen where people look at the run."""

from __future__ import annotations

import io
from dataclasses import replace

from backend.documents import intake
from backend.models import Run
from backend.principal import SYSTEM
from backend.runs import queue
from backend.states import rescued, states
from backend.transactions import Caller, Installation
from tests.support.documents import state_document
from tests.support.rows import add_workspaces


def test_a_run_whose_write_was_refused_and_kept_says_so(here: Installation) -> None:
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        state = states.of_workspace(tx.db, workspace)
        run_id = queue.queue(tx, workspace, queue.NewRun("apply")).id
    document = intake.receive(io.BytesIO(state_document()), 10_000, here.blobs)
    late = Caller(here, replace(SYSTEM, name="run", run_id=run_id, run_epoch=1))

    for _ in range(2):
        with late.transaction() as tx:
            kept = rescued.keep(tx, state, document, "fenced")

    assert kept is not None
    with here.itself.reading() as tx:
        assert tx.db.get_one(Run, run_id).warnings == [
            f"a state that it wrote was refused (fenced) and kept: {kept.id}"
        ]
