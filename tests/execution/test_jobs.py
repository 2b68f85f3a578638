"""The job of a claimed run. What is missing for it is named."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest

from backend.catalogue import keys, variables
from backend.catalogue.variables import NewVariable
from backend.documents.intake import receive
from backend.errors import Unreadable
from backend.models import Key, Run, Template, Variable, Workspace
from backend.runs import claims, queue
from backend.states import states, transfers
from backend.transactions import Installation
from execution import jobs
from runner.errors import SourceError
from tests.support.databases import one_database
from tests.support.documents import state_document
from tests.support.rows import add_workspaces

pytestmark = one_database


@pytest.fixture
def run(here: Installation) -> Run:
    """A claimed run of a workspace with a variable, and a template with a key."""
    [workspace] = add_workspaces(here, "one")
    secret = keys.read("password", {"username": "ann", "password": "hunter2"})
    with here.itself.transaction() as tx:
        at = tx.db.get_one(Workspace, workspace.id)
        key = keys.create(tx, at.project, kind="password", secret=secret, name="forge")
        variables.create(tx, at, NewVariable("terraform", "region", {"value": "eu"}))
        tx.db.get_one(Template, at.template_id).key_id = key.id
    with here.itself.transaction() as tx:
        queued = queue.queue(tx, tx.db.get_one(Workspace, workspace.id), queue.NewRun("plan"))
        claimed = claims.claim(tx, queued.id, "w1", timedelta(seconds=30))
    assert claimed is not None
    return claimed


def refusal(here: Installation, run: Run) -> Unreadable:
    with here.itself.transaction() as tx, pytest.raises(Unreadable) as caught:
        jobs.resolve(tx, tx.db.get_one(Run, run.id))
    return caught.value


def test_a_run_names_the_variable_that_does_not_open(here: Installation, run: Run) -> None:
    with here.itself.transaction() as tx:
        tx.db.query(Variable).one().value += b"\0"

    error = refusal(here, run)

    assert error.code == "variable-unreadable"
    assert "terraform/region" in error.message


def test_a_run_names_the_key_that_does_not_open(here: Installation, run: Run) -> None:
    with here.itself.transaction() as tx:
        tx.db.query(Key).one().secret = b"nothing that is known"

    error = refusal(here, run)

    assert error.code == "key-unreadable"
    assert "'forge'" in error.message


def test_the_mirrors_of_a_run_are_those_of_its_project_and_its_key(
    here: Installation, run: Run
) -> None:
    with here.itself.transaction() as tx:
        found = tx.db.get_one(Run, run.id)
        job = jobs.resolve(tx, found)
        names = f"{found.workspace.project.id} {found.template.key_id}"

    assert job.source.mirrors is not None
    assert job.source.mirrors.owner == names
    assert job.source.mirrors.root == here.settings.data_dir / "mirrors"


def queued(here: Installation, template: dict[str, object], ref: str | None) -> Run:
    """A run of this ref, claimed after the template was changed."""
    [workspace] = add_workspaces(here, "one")
    with here.itself.transaction() as tx:
        at = tx.db.get_one(Workspace, workspace.id)
        tx.db.get_one(Template, at.template_id).allowed_refs = ["any"]
        for name, sensitive in (("password", True), ("region", False)):
            new = NewVariable("terraform", name, {"value": "1", "sensitive": sensitive})
            variables.create(tx, at, new)
    with here.itself.transaction() as tx:
        at = tx.db.get_one(Workspace, workspace.id)
        run_id = queue.queue(tx, at, queue.NewRun("plan", ref=ref)).id
        for name, changed in template.items():
            setattr(at.template, name, changed)
    with here.itself.transaction() as tx:
        claimed = claims.claim(tx, run_id, "w1", timedelta(seconds=30))
        assert claimed is not None
        return claimed


def test_a_ref_that_is_no_longer_allowed_when_its_run_is_claimed_does_not_run(
    here: Installation,
) -> None:
    run = queued(here, {"allowed_refs": []}, "feature")

    with here.itself.transaction() as tx, pytest.raises(SourceError) as refusal:
        jobs.resolve(tx, tx.db.get_one(Run, run.id))

    assert refusal.value.code == "ref-not-allowed"


@pytest.mark.parametrize(
    ("template", "ref", "given"),
    [
        ({}, None, {"password", "region"}),
        ({}, "feature", {"password", "region"}),
        ({}, "refs/tags/v1", {"password", "region"}),
        ({}, "refs/pull/7/head", {"region"}),
        ({}, "refs/merge-requests/7/head", {"region"}),
        ({"ref": "refs/changes/01/1/1"}, None, {"region"}),
        ({"secrets_for_pull_requests": True}, "refs/pull/7/head", {"password", "region"}),
    ],
)
def test_only_what_was_merged_gets_sensitive_variables_unless_the_template_says_otherwise(
    here: Installation, template: dict[str, object], ref: str | None, given: set[str]
) -> None:
    run = queued(here, template, ref)

    with here.itself.transaction() as tx:
        job = jobs.resolve(tx, tx.db.get_one(Run, run.id))

    assert {variable.name for variable in job.variables} == given
    assert set(job.withheld) == {"password", "region"} - given


def test_a_job_knows_what_the_state_marks_as_sensitive(here: Installation, run: Run) -> None:
    outputs = {"made": {"value": "made-in-the-cloud", "type": "string", "sensitive": True}}
    document = json.loads(state_document()) | {"outputs": outputs}
    body = json.dumps(document).encode()
    taken = receive(io.BytesIO(body), len(body), here.blobs)
    with here.itself.transaction() as tx:
        at = tx.db.get_one(Run, run.id).workspace
        transfers.take_in(tx, states.of_workspace(tx.db, at), taken)

    with here.itself.transaction() as tx:
        job = jobs.resolve(tx, tx.db.get_one(Run, run.id))

    assert job.known_secrets == {"made-in-the-cloud"}
    assert "made-in-the-cloud" not in repr(job)
