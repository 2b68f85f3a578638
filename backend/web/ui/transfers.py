"""Moving the state of a workspace here, or away to the backend of its sources, step by step."""

from __future__ import annotations

from dataclasses import dataclass

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import effective
from backend.errors import Invalid
from backend.models import TRANSFERS, Run
from backend.runs import glances, history, queue
from backend.runs.glances import Glance
from backend.states import workspaces
from backend.transactions import Transaction
from backend.web.api.runs import NewWorkspaceRun
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.onces import once
from backend.web.ui.workspaces import WORKSPACE

bp = pages("transfers")
# what opens a backend, by its type: environment variables, which are sensitive but for the first
CREDENTIALS = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "pg": ("PG_CONN_STR",),
    "http": ("TF_HTTP_ADDRESS", "TF_HTTP_USERNAME", "TF_HTTP_PASSWORD"),
    "cloud": ("TF_TOKEN_app_terraform_io",),
    "remote": ("TF_TOKEN_app_terraform_io",),
}
NAMED = ("AWS_ACCESS_KEY_ID", "TF_HTTP_ADDRESS", "TF_HTTP_USERNAME")


@dataclass(frozen=True)
class Credential:
    """A variable that the backend of the sources reads, and whether a run would get it."""

    name: str
    sensitive: bool
    is_set: bool


@bp.get(f"{WORKSPACE}/transfer")
def show(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        seen = history.last_detected(tx, glance.workspace)
        return page(
            "workspaces/transfer.html", glance.project, glance=glance, seen=seen,
            is_away=request.args.get("to") == "away", credentials=_credentials(tx, glance, seen),
        )  # fmt: skip


@bp.post(f"{WORKSPACE}/transfer")
def begin(project: str, workspace: str) -> ResponseReturnValue:
    body = forms.read(NewWorkspaceRun)
    if body.operation not in TRANSFERS:
        raise Invalid("This form moves a state: choose a direction.", code="invalid-request")
    new = queue.NewRun(**body.model_dump(exclude={"variables"}))
    with transaction() as tx:
        found = workspaces.named(tx, project, workspace)
        made = once(
            tx,
            lambda: queue.queue(tx, found, new),
            lambda before: queue.of_workspace(tx, found, before),
        ).id
    say("The run that moves the state is queued.")
    return redirect(f"/projects/{project}/runs/{made}", 303)


def _credentials(tx: Transaction, glance: Glance, seen: Run | None) -> list[Credential]:
    """What opens the backend that the last run found, and which of it is set."""
    verdict = str((seen.detection or {}).get("verdict", "")) if seen is not None else ""
    kind, _, name = verdict.partition(":")
    wanted = CREDENTIALS.get(name or kind, ())
    if not wanted:
        return []
    found = effective.find_all(tx, glance.workspace)
    given = {one.name for one in found if one.kind == "environment"}
    return [Credential(one, one not in NAMED, one in given) for one in wanted]
