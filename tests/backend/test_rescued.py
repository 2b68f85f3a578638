"""A refused write of a run is seen where people look at the run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backend import installation, rescued, runs, states, upload
from backend.config import Settings
from backend.installation import Installation
from backend.models import Project, Run, Template, Workspace
from backend.principal import SYSTEM
from tests.support.documents import state_document


@pytest.fixture
def here(settings: Settings) -> Iterator[Installation]:
    prepared = installation.prepare(settings)
    yield prepared
    prepared.database.close()


def test_a_run_whose_write_was_refused_and_kept_says_so(here: Installation) -> None:
    with here.database.transaction() as db:
        project = Project(name="alpha")
        db.add(project)
        db.flush()
        template = Template(project_id=project.id, name="net", repository="https://x.example/r")
        db.add(template)
        db.flush()
        workspace = Workspace(project_id=project.id, template_id=template.id, name="one")
        db.add(workspace)
        db.flush()
        state = states.create(db, workspace)
        run_id = runs.queue(db, SYSTEM, workspace, "apply").id
    document = upload.receive(io.BytesIO(state_document()), 10_000, here.blobs)
    late = replace(SYSTEM, name="run", run_id=run_id, run_epoch=1)

    for _ in range(2):
        with here.database.transaction() as db:
            kept = rescued.keep(
                db, late, state, document, here.keyring, reason="fenced", most_bytes=10_000
            )

    assert kept is not None
    with here.database.reading() as db:
        assert db.get_one(Run, run_id).warnings == [
            f"a state that it wrote was refused (fenced) and kept: {kept.id}"
        ]
