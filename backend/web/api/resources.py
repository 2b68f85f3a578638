from __future__ import annotations

import msgspec
from flask import Response
from pydantic import Field

from backend.documents.graph import Graph as Drawn
from backend.offload import off_loop
from backend.states import resources
from backend.states.resources import Seen
from backend.web.api.answers import (
    WORKSPACE,
    Answer,
    Query,
    WorkspacePath,
    blueprint,
    encoded,
    problems,
)
from backend.web.compression import compressed
from backend.web.current import caller

bp = blueprint("resources", "The resources in a state, without their attributes")


class Which(Query):
    version: str = Field(
        "latest", pattern=r"^([1-9][0-9]{0,8}|latest)$", description="A number, or `latest`"
    )


class Node(Answer):
    address: str = Field(description="Of all instances together")
    module: str = Field(description="The module that it is in; empty: the root module")
    type: str
    data: bool = Field(description="A data source, not a managed resource")
    instances: int
    is_keyed: bool = Field(description="Its instances have keys: it has count or for_each")


class Graph(Answer):
    version: int | None = Field(description="Null: the state was never written")
    nodes: list[Node] = Field(description="Resources and data sources, by module and address")
    edges: list[tuple[int, int]] = Field(
        description="Pairs of places in `nodes`: the first one depends on the second one. Edges "
        "that follow from others are left out"
    )
    left_out: int = Field(description="The number of nodes that do not fit into this answer")
    edges_left_out: int


@bp.get(f"{WORKSPACE}/graph", responses={200: Graph, **problems(409, 410, 500)})
def get_graph(path: WorkspacePath, query: Which) -> Response:
    """What depends on what: the resources of a version as a graph, without their attributes."""
    seen = resources.draw(caller(), path.project, path.workspace, query.version)
    response = encoded(off_loop(_written, seen))
    response.headers["Vary"] = "Accept-Encoding"
    return compressed(response)


def _written(seen: Seen[Drawn]) -> bytes:
    """The same as a Graph, which would take longer to check thousands of nodes."""
    drawn = seen.found or Drawn([], [])
    number = None if seen.version is None else seen.version.number
    facts = {name: getattr(drawn, name) for name in Drawn.__struct_fields__}
    return msgspec.json.encode({"version": number, **facts})
