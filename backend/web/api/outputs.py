from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import Field

from backend.offload import off_loop
from backend.states import outputs, states
from backend.web.api.answers import Answer, Query, answer, blueprint, problems
from backend.web.api.locks import WorkspacePath
from backend.web.api.states import WORKSPACE, state_of
from backend.web.current import installation, principal, reading, transaction

bp = blueprint("outputs", "The outputs in a state, for those who may not read the state")


class Reveal(Query):
    show_sensitive: bool = Field(
        default=False, description="Show sensitive values too: this needs state:read"
    )


class Output(Answer):
    value: Any = Field(None, description="Null when it is sensitive and not shown")
    type: Any = None
    sensitive: bool


class Outputs(Answer):
    version: int | None = Field(description="Of the state they are in; null: never written")
    outputs: dict[str, Output]


@bp.get(f"{WORKSPACE}/outputs", responses={200: Outputs, **problems(409, 410, 500)})
def get_outputs(path: WorkspacePath, query: Reveal) -> Response:
    """The outputs in the newest version of the state."""
    here = installation()
    with transaction() if query.show_sensitive else reading() as db:
        state = state_of(db, path, "outputs:read")
        if query.show_sensitive:
            outputs.note_revealed(db, principal(), state)
        version = states.current(db, state)
    if version is None:
        return answer(Outputs(version=None, outputs={}))
    content = states.content(version, here.keyring, here.blobs)
    found = off_loop(outputs.read, version, content)
    seen = found if query.show_sensitive else outputs.masked(found)
    return answer(Outputs.model_validate({"version": version.number, "outputs": seen}))
