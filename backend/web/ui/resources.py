"""The resources in a state: a list by module, and one with its attributes."""

from __future__ import annotations

from functools import partial
from itertools import groupby

from flask.typing import ResponseReturnValue
from pydantic import Field

from backend.documents.resources import List, Listed, Listing
from backend.runs import glances
from backend.states import resources
from backend.states.resources import Seen
from backend.web.api.answers import Query
from backend.web.current import caller, reading
from backend.web.ui import forms, state_values
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("resources")
AT = "/projects/<project>/workspaces/<workspace>/resources"
PAGE = 200
_VERSION = r"^([1-9][0-9]{0,8}|latest)$"


class Asked(Query):
    """What the page is asked for. The cursor is `VERSION.PLACE`, so that nothing moves below it."""

    q: str = Field("", max_length=500)
    type: str = Field("", max_length=300)
    address: str = Field("", max_length=4000)
    version: str = Field("latest", pattern=_VERSION)
    cursor: str = Field("", pattern=r"^[1-9][0-9]{0,8}\.[0-9]{1,7}$|^$")

    @property
    def which(self) -> str:
        return self.cursor.partition(".")[0] or self.version

    @property
    def wanted(self) -> List:
        start = self.cursor.rpartition(".")[2]
        return List(self.q, self.type, int(start or 0), PAGE)


@bp.get(AT)
def show(project: str, workspace: str) -> ResponseReturnValue:
    asked = forms.asked(Asked)
    if asked.address:
        return _show_one(project, workspace, asked)
    seen, why = state_values.found_or_why(
        lambda: resources.find_all(caller(), project, workspace, asked.which, asked.wanted)
    )
    listing = seen.found if seen else None
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "states/resources.html", glance.project, glance=glance, asked=asked, why=why,
            seen=seen, listing=listing, groups=_groups(listing), cursor=_next(asked, seen),
        )  # fmt: skip


def _show_one(project: str, workspace: str, asked: Asked) -> str:
    find = partial(resources.get, caller(), project, workspace, asked.which, asked.address)
    seen, why = state_values.found_or_why(find)
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "states/resource.html", glance.project, glance=glance, asked=asked, seen=seen, why=why
        )


def _groups(listing: Listing | None) -> list[tuple[str, list[Listed]]]:
    """By module, in the order of the list."""
    found = groupby(listing.items if listing else (), key=lambda one: one.module)
    return [(module, list(resources)) for module, resources in found]


def _next(asked: Asked, seen: Seen[Listing] | None) -> str | None:
    if seen is None or seen.found is None or seen.version is None:
        return None
    end = asked.wanted.start + len(seen.found.items)
    return f"{seen.version.number}.{end}" if end < seen.found.matching else None
