from __future__ import annotations

from flask import Response

from backend.runs import overviews
from backend.states import archive
from backend.web.api.answers import WORKSPACE, WorkspacePath, answer, blueprint
from backend.web.api.states import State, shown, state_of
from backend.web.current import transaction

bp = blueprint("archive", "States that were moved to another backend")


@bp.post(f"{WORKSPACE}/states/unarchive", responses={200: State})
def unarchive_state(path: WorkspacePath) -> Response:
    """Open the state here again, as it was when it was moved. Nobody may use it there any more."""
    with transaction() as tx:
        state = state_of(tx, path)
        archive.unarchive(tx, state)
        opened = shown(overviews.of_state(tx, state))
    return answer(opened)
