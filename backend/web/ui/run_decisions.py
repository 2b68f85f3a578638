"""What people decide about runs, and say about them."""

from __future__ import annotations

from flask import redirect
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.errors import Conflict
from backend.models import Project, Run
from backend.runs import approvals, comments, outlooks, queue, retrying
from backend.transactions import Transaction
from backend.web.api.runs import Approval, NewComment, Said
from backend.web.current import transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.onces import once
from backend.web.ui.run import AT

bp = pages("run-decisions")


@bp.post(f"{AT}/approve")
def approve(project: str, run: str) -> ResponseReturnValue:
    """Approve the plan. A stale one ends the run, which is stored, and refused afterwards."""
    body = forms.read(Approval)
    with transaction() as tx:
        place = projects.named(tx, project)
        tx.require("runs:approve", place.id)
        _check_name(tx, place, run)
        found = approvals.approve(tx, place, run, body.comment, overrule=body.overrule)
        error = found.error_code, found.error_message, found.status
    if error[0] is not None:
        raise Conflict(error[1] or "", code=error[0], run_status=error[2])
    say("The plan is approved: a worker applies it, exactly as it is.")
    return _to(project, run)


@bp.post(f"{AT}/discard")
def discard(project: str, run: str) -> ResponseReturnValue:
    body = forms.read(Said)
    with transaction() as tx:
        approvals.discard(tx, projects.named(tx, project), run, body.comment)
    say("The plan is discarded. Nothing was changed.")
    return _to(project, run)


@bp.post(f"{AT}/cancel")
def cancel(project: str, run: str) -> ResponseReturnValue:
    body = forms.read(Said)
    with transaction() as tx:
        place = projects.named(tx, project)
        found = queue.cancel(tx, place, run, force=False, comment=body.comment)
        is_over = found.status == "canceled"
    say("The run is canceled." if is_over else "The run is asked to stop.")
    return _to(project, run)


@bp.post(f"{AT}/force-cancel")
def force_cancel(project: str, run: str) -> ResponseReturnValue:
    body = forms.read(Said)
    with transaction() as tx:
        queue.cancel(tx, projects.named(tx, project), run, force=True, comment=body.comment)
    say("The run is being killed.")
    return _to(project, run)


@bp.post(f"{AT}/acknowledge")
def acknowledge(project: str, run: str) -> ResponseReturnValue:
    body = forms.read(Said)
    with transaction() as tx:
        queue.acknowledge(tx, projects.named(tx, project), run, body.comment)
    say("Acknowledged: the workspace takes runs again.")
    return _to(project, run)


@bp.post(f"{AT}/retry")
def retry(project: str, run: str) -> ResponseReturnValue:
    body = forms.read(Said)
    with transaction() as tx:
        place = projects.named(tx, project)
        tx.require("runs:create", place.id)
        _check_name_of_retry(tx, place, run)
        made = once(
            tx,
            lambda: retrying.retry(tx, place, run, body.comment),
            lambda before: queue.named(tx.db, place, before),
        ).id
    say("The run is queued again, with the inputs of the one before.")
    return _to(project, made)


@bp.post(f"{AT}/comments")
def comment(project: str, run: str) -> ResponseReturnValue:
    body = forms.read(NewComment)
    with transaction() as tx:
        comments.add(tx, projects.named(tx, project), run, body.text)
    return redirect(f"/projects/{project}/runs/{run}#comments", 303)


def _check_name(tx: Transaction, place: Project, run_id: str) -> None:
    """Raise Invalid if the plan destroys everything, and the workspace's name was not typed."""
    run = queue.named(tx.db, place, run_id)
    if _waits(run) and outlooks.destroys_all(tx, run):
        forms.typed(run.workspace.name)


def _check_name_of_retry(tx: Transaction, place: Project, run_id: str) -> None:
    """The same for a run that is queued again, and destroys without an approval."""
    run = queue.named(tx.db, place, run_id)
    if run.auto_approve and run.operation == "destroy":
        forms.typed(run.workspace.name)


def _waits(run: Run) -> bool:
    return run.status == "planned" and run.approved_at is None


def _to(project: str, run: str) -> ResponseReturnValue:
    return redirect(f"/projects/{project}/runs/{run}", 303)
