"""The first page of all projects and that of one: what needs a person, and what is at work."""

from __future__ import annotations

from flask import request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.runs import attention, figures, search, workers
from backend.upkeep import storage
from backend.web.current import reading
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("overview")
MOST_WORKERS = 20


@bp.get("/")
def show() -> ResponseReturnValue:
    with reading() as tx:
        found = attention.find(tx)
        mine = projects.find_all(tx, limit=1).items if _is_quiet(found) else ["some"]
        return page("overview/overview.html", found=found, has_projects=bool(mine))


@bp.get("/figures")
def show_figures() -> ResponseReturnValue:
    """The part of the overview that takes longer: runs per day, workers and storage."""
    with reading() as tx:
        manages = tx.principal.may("admin", None)
        return page(
            "overview/figures.html",
            days=figures.per_day(tx),
            workers=workers.find_all(tx, None, MOST_WORKERS).items if manages else None,
            storage=storage.measure(tx) if manages else None,
        )


@bp.get("/projects/<project>")
def show_project(project: str) -> ResponseReturnValue:
    with reading() as tx:
        one = projects.get(tx, project)
        found = attention.find(tx, one)
        return page("overview/project.html", one, found=found)


@bp.get("/projects/<project>/figures")
def show_figures_of_project(project: str) -> ResponseReturnValue:
    with reading() as tx:
        one = projects.get(tx, project)
        days, use = figures.per_day(tx, one), projects.use(tx, one)
        return page("overview/figures.html", one, days=days, use=use)


@bp.get("/search")
def find() -> ResponseReturnValue:
    """What has a text in its name; of one project with `project=`."""
    asked, within = request.args.get("q", ""), request.args.get("project", "")
    with reading() as tx:
        one = projects.get(tx, within) if within else None
        return page("overview/search.html", one, asked=asked, found=search.find(tx, asked, one))


def _is_quiet(found: attention.Attention) -> bool:
    return not (found.is_needed or found.at_work or found.queued)
