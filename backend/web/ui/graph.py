"""What depends on what in a state: as a picture, and as a list for whoever sees none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flask.typing import ResponseReturnValue
from pydantic import Field

from backend.documents.graph import Graph, Node
from backend.runs import glances
from backend.states import resources
from backend.web.api.resources import Which
from backend.web.current import caller, reading
from backend.web.ui import forms, state_values
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("graph")
AT = "/projects/<project>/workspaces/<workspace>/graph"
PAGE = 300  # resources of the list
MOST_NEEDS = 50


class Asked(Which):
    cursor: int = Field(0, ge=0, le=1_000_000, description="The place of the first of the list")


@dataclass(frozen=True)
class Entry:
    """A resource in the list, with what it depends on; `left_out` counts what is not shown."""

    node: Node
    needs: Sequence[Node]
    left_out: int


@bp.get(AT)
def show(project: str, workspace: str) -> ResponseReturnValue:
    asked = forms.asked(Asked)
    seen, why = state_values.found_or_why(
        lambda: resources.draw(caller(), project, workspace, asked.version)
    )
    drawn = (seen.found if seen else None) or Graph([], [])
    end = asked.cursor + PAGE
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "states/graph.html", glance.project, glance=glance, why=why, seen=seen, drawn=drawn,
            groups=_groups(_entries(drawn, asked.cursor, end)), asked=asked,
            cursor=str(end) if end < len(drawn.nodes) else None,
        )  # fmt: skip


def _entries(drawn: Graph, start: int, end: int) -> list[Entry]:
    needs: dict[int, list[Node]] = defaultdict(list)
    for place, needed in drawn.edges:
        needs[place].append(drawn.nodes[needed])
    return [
        Entry(node, needs[place][:MOST_NEEDS], max(0, len(needs[place]) - MOST_NEEDS))
        for place, node in enumerate(drawn.nodes[start:end], start)
    ]


def _groups(entries: list[Entry]) -> list[tuple[str, list[Entry]]]:
    """By module, in the order of the graph."""
    found = groupby(entries, key=lambda one: one.node.module)
    return [(module, list(inside)) for module, inside in found]
