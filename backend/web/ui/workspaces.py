"""Workspaces: the list, a new one, and the first page of one."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from backend.runs import glances
from backend.web.current import reading
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("workspaces")
WORKSPACE = "/projects/<project>/workspaces/<workspace>"


@bp.get(WORKSPACE)
def show(project: str, workspace: str) -> ResponseReturnValue:
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page("workspaces/workspace.html", glance.project, glance=glance)
