from __future__ import annotations

from typing import Any

import msgspec
from flask import Response
from pydantic import Field

from backend.offload import off_loop
from backend.states import comparing
from backend.states.comparing import Comparison
from backend.web.api.answers import (
    WORKSPACE,
    Answer,
    Query,
    WorkspacePath,
    blueprint,
    encoded,
    problems,
)
from backend.web.current import caller

bp = blueprint("diff", "The difference between two versions of a state")

_WHICH = r"^([1-9][0-9]{0,8}|latest)$"


class Versions(Query):
    before: str | None = Field(
        None,
        alias="from",
        pattern=_WHICH,
        description="A number or `latest`; default: the version before `to`",
    )
    after: str = Field("latest", alias="to", pattern=_WHICH, description="A number, or `latest`")


class Change(Answer):
    path: str = Field(description="`tags.Name`, `ingress[0].from_port`; the name of an output")
    before: Any = Field(description="The old value; null: none, or null")
    after: Any = Field(description="The new value; null: none, or null")
    hidden: bool = Field(description="The value, or a part of it, is secret and was replaced")


class Resource(Answer):
    address: str
    data: bool = Field(description="A data source, not a managed resource")


class ChangedResource(Resource):
    changes: list[Change] = Field(description="The attributes that are different")


class Diff(Answer):
    from_version: int | None = Field(description="Null: there is no earlier version")
    to_version: int
    added: list[Resource]
    removed: list[Resource]
    changed: list[ChangedResource]
    unchanged: int = Field(description="The number of unchanged resource instances")
    outputs: list[Change]
    left_out: int = Field(
        description="The number of resources and outputs that do not fit into this answer"
    )


@bp.get(
    f"{WORKSPACE}/states/diff",
    responses={200: Diff, **problems(409, 410, 500)},
)
def diff_states(path: WorkspacePath, query: Versions) -> Response:
    """The difference between two versions, without their secrets. This is audited.

    By default it compares the newest version with the one before.
    """
    found = comparing.compare(caller(), path.project, path.workspace, query.before, query.after)
    return encoded(off_loop(_written, found))


def _written(found: Comparison) -> bytes:
    """The same as a Diff, which would take longer to check thousands of resources."""
    parts = found.diff
    alone = {
        kind: [{"address": one.address, "data": one.data} for one in resources]
        for kind, resources in (("added", parts.added), ("removed", parts.removed))
    }
    shown = {
        "from_version": found.before,
        "to_version": found.after,
        **alone,
        "changed": parts.changed,
        "unchanged": parts.unchanged,
        "outputs": parts.outputs,
        "left_out": parts.left_out,
    }
    return msgspec.json.encode(shown)
