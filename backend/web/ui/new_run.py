"""The form that queues a run."""

from __future__ import annotations

from collections.abc import Iterator

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.catalogue.survey import Question
from backend.models import Project
from backend.runs import offers, queue
from backend.states import workspaces
from backend.transactions import Transaction
from backend.web.api.runs import NewWorkspaceRun
from backend.web.current import reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page
from backend.web.ui.onces import once

bp = pages("new-run")

AT = "/projects/<project>/runs/new"
CHOICES = 200  # workspaces to choose from; others are typed
OPERATIONS = (
    ("apply", "apply: plan, and change things once the plan is approved"),
    ("plan", "plan: only look what would change"),
    ("drift", "drift: only look what was changed outside"),
    ("refresh", "refresh: write what things are now into the state"),
    ("destroy", "destroy: plan to delete everything, and do it once that is approved"),
)
PRIORITIES = (("normal", "normal"), ("low", "low: after all others"))
HIGH = ("high", "high: before all others")


@bp.get(AT)
def ask(project: str) -> ResponseReturnValue:
    with reading() as tx:
        place = projects.get(tx, project)
        reference = request.args.get("workspace", place.default_workspace_id or "")
        if not reference:
            return _choose(tx, place)
        offer = offers.of_workspace(tx, place, reference)
        name = offer.workspace.name
        return page(
            "runs/new.html", place, offer=offer, operations=OPERATIONS, field=field_of,
            priorities=PRIORITIES, high=HIGH, operation=request.args.get("operation", "apply"),
            ref=request.args.get("ref", ""),
            command=f"stateroom runs queue -p {place.name} -w {name} --operation plan",
        )  # fmt: skip


@bp.post(AT)
def queue_run(project: str) -> ResponseReturnValue:
    with transaction() as tx:
        place = projects.named(tx, project)
        offer = offers.of_workspace(tx, place, forms.text("workspace"))
        answers = [*_answers([asked.question for asked in offer.survey])]
        body = forms.read(NewWorkspaceRun, variables=answers)
        if body.auto_approve and body.operation == "destroy":
            forms.typed(offer.workspace.name)
        given = [one.new() for one in body.variables]
        new = queue.NewRun(**body.model_dump(exclude={"variables"}), variables=given)
        made = once(
            tx,
            lambda: queue.queue(tx, offer.workspace, new),
            lambda before: queue.named(tx.db, place, before),
        ).id
    say("The run is queued.")
    return redirect(f"/projects/{place.name}/runs/{made}", 303)


def field_of(question: Question) -> str:
    """The field of a form with the answer to a question."""
    kind, name = question["kind"], question["name"]
    return f"variables.{name}" if kind == "terraform" else f"variables.{kind}.{name}"


def _answers(survey: list[Question]) -> Iterator[dict[str, str]]:
    """What was answered. A field that was left empty leaves the variable as it is."""
    for question in survey:
        given = [text for text in request.form.getlist(field_of(question)) if text]
        if given:
            text = ",".join(given) if question["type"] == "choices" else given[-1]
            yield {"kind": question["kind"], "name": question["name"], "value": text}


def _choose(tx: Transaction, place: Project) -> str:
    found = workspaces.find_all(tx, place, limit=CHOICES)
    names = sorted(one.name for one in found.items if one.template is not None)
    return page(
        "runs/choose.html", place, choices=[(name, name) for name in names],
        are_all=found.next_cursor is None, command=f"stateroom runs queue -p {place.name}",
    )  # fmt: skip
