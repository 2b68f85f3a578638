"""The first page: what needs the person who looks, and what is at work."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.web.current import reading
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("overview")


@bp.get("/")
def show() -> ResponseReturnValue:
    with reading() as tx:
        return page("overview/overview.html", projects=projects.find_all(tx).items)
