"""One run: what it does, what it waits for, and what became of it."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from backend.catalogue import effective, projects
from backend.runs import outlooks, queue
from backend.states import outputs
from backend.web.api.run_answers import detail, summary
from backend.web.api.variables import effective_shown
from backend.web.current import caller, reading
from backend.web.ui import run_shown
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("run")

AT = "/projects/<project>/runs/<run>"


@bp.get(AT)
def show(project: str, run: str) -> ResponseReturnValue:
    with reading() as tx:
        place = projects.get(tx, project)
        row = queue.get(tx, place, run)
        return page(
            "runs/run.html", place, run=detail(tx, row), outlook=outlooks.of_run(tx, row),
            shown=run_shown, api=f"/projects/{place.name}/runs/{row.id}",
            command=f"stateroom runs show -p {place.name} {row.id}",
        )  # fmt: skip


@bp.get(f"{AT}/variables")
def show_variables(project: str, run: str) -> ResponseReturnValue:
    """What a run gets, by the variables as they are now."""
    with reading() as tx:
        place = projects.get(tx, project)
        row = queue.get(tx, place, run)
        found = [effective_shown(one) for one in effective.find_all(tx, row.workspace, row)]
        at = f"/projects/{place.name}/workspaces/{row.workspace.name}"
        return page(
            "runs/variables.html", place, run=summary(row), variables=found,
            api=f"{at}/variables/effective?run={row.id}",
            command=f"stateroom variables effective -p {place.name} -w {row.workspace.name}",
        )  # fmt: skip


@bp.get(f"{AT}/outputs")
def show_outputs(project: str, run: str) -> ResponseReturnValue:
    """The outputs in the newest version of the state of the run's workspace."""
    with reading() as tx:
        place = projects.get(tx, project)
        mine = summary(queue.get(tx, place, run))
    name = mine.workspace.name
    found = outputs.read(caller(), place.name, name, show_sensitive=False)
    return page(
        "runs/outputs.html", place, run=mine, found=found, shown=run_shown,
        api=f"/projects/{place.name}/workspaces/{name}/outputs",
        command=f"stateroom outputs -p {place.name} -w {name}",
    )  # fmt: skip
