from __future__ import annotations

from flask import Response

from backend.states import archive
from backend.web.api.answers import answer, blueprint
from backend.web.api.locks import WorkspacePath
from backend.web.api.states import WORKSPACE, State, shown, state_of
from backend.web.current import principal, transaction

bp = blueprint("archive", "States that were moved to another backend")


@bp.post(f"{WORKSPACE}/states/unarchive", responses={200: State})
def unarchive_state(path: WorkspacePath) -> Response:
    """Go on with the state here, as it was when it was moved. Nobody may go on with it there."""
    with transaction() as db:
        state = state_of(db, path, "state:delete")
        archive.unarchive(db, principal(), state)
        opened = shown(db, state)
    return answer(opened)
