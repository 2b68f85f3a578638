"""The runs of a project: newest first, by filters that are in the address."""

from __future__ import annotations

from typing import get_args

from flask import request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.errors import Invalid, NotFound
from backend.models import Project
from backend.runs import queue
from backend.transactions import Transaction
from backend.web.api.run_answers import Operation, Runs, Status, summary
from backend.web.api.runs import RunFilter
from backend.web.current import reading
from backend.web.ui import forms, run_shown
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("runs")

FILTERS = ("workspace", "template", "status", "operation", "created_by")
GROUPS = (
    ("undecided", "needs a decision"),
    ("waiting", "waiting"),
    ("at_work", "at work"),
    ("failed", "failed"),
)
STATUSES = (("", "any"), *GROUPS, *((one, one.replace("_", " ")) for one in get_args(Status)))
OPERATIONS = (("", "any"), *((one, one) for one in get_args(Operation)))


@bp.get("/projects/<project>/runs")
def show_all(project: str) -> ResponseReturnValue:
    with reading() as tx:
        place = projects.get(tx, project)
        found, problem = _found(tx, place)
        filtered = any(request.args.get(name) for name in FILTERS)
        return page(
            "runs/runs.html", place, found=found, problem=problem, filtered=filtered,
            statuses=STATUSES, operations=OPERATIONS, shown=run_shown,
            api=f"/projects/{place.name}/runs", command=_command(place),
        )  # fmt: skip


def _found(tx: Transaction, project: Project) -> tuple[Runs, str]:
    """The runs that the filters leave, or why there cannot be any."""
    try:
        wanted = forms.read(RunFilter, request.args)
        found = queue.find_all(
            tx, project, after=wanted.cursor, limit=wanted.limit,
            **wanted.model_dump(include={*FILTERS}),
        )  # fmt: skip
    except (NotFound, Invalid) as error:
        return Runs(items=[], next_cursor=None), error.message
    return Runs(items=[summary(run) for run in found.items], next_cursor=found.next_cursor), ""


def _command(project: Project) -> str:
    options = {"created_by": "by"}
    given = [
        f" --{options.get(name, name)} {run_shown.as_word(request.args[name])}"
        for name in FILTERS
        if request.args.get(name)
    ]
    return f"stateroom runs list -p {project.name}{''.join(given)}"
