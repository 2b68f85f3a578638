from __future__ import annotations

from typing import Any

import msgspec
from flask import Response
from pydantic import Field

from backend.offload import off_loop
from backend.states import outputs
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

bp = blueprint("outputs", "The outputs in a state, also for people who may not read the state")


class Reveal(Query):
    show_sensitive: bool = Field(
        default=False, description="Show sensitive values too, which needs state:read"
    )


class Output(Answer):
    value: Any = Field(None, description="Null if it is sensitive and not shown")
    type: Any = None
    sensitive: bool


class Outputs(Answer):
    version: int | None = Field(description="The version that they are from; null: never written")
    outputs: dict[str, Output]


@bp.get(f"{WORKSPACE}/outputs", responses={200: Outputs, **problems(409, 410, 500)})
def get_outputs(path: WorkspacePath, query: Reveal) -> Response:
    """The outputs in the newest version of the state."""
    found = outputs.read(
        caller(), path.project, path.workspace, show_sensitive=query.show_sensitive
    )
    # not with the model: it would hold the whole server up while it checks 60,000 values
    return encoded(off_loop(msgspec.json.encode, found))
