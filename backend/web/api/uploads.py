from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import Field

from backend import refusals, uploads
from backend.web import documents
from backend.web.api.answers import Query, answer, problems, streaming_blueprint
from backend.web.api.locks import WorkspacePath
from backend.web.api.states import WORKSPACE, StateVersion, state_of
from backend.web.current import installation, principal, reading, transaction

bp = streaming_blueprint("uploads", "State documents that somebody brings along")

DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "What `terraform state pull` printed, or any other state document: its "
        "bytes are stored as they are",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


class Upload(Query):
    force: bool = Field(
        default=False, description="Replace a newer serial, or another lineage, on purpose"
    )
    import_: bool = Field(
        default=False,
        alias="import",
        description="Only into a state that was never written, or that was purged",
    )


@bp.post(
    f"{WORKSPACE}/states",
    responses={201: StateVersion, **problems(409, 410, 413, 423)},
    openapi_extensions=DOCUMENT,
)
def upload_state(path: WorkspacePath, query: Upload) -> Response:
    """Store the body as a new version. Lock, serial and lineage are guarded as for terraform.

    Into a state that was never written it is an import: bytes, serial and lineage are kept.
    """
    here = installation()
    with reading() as db:
        quota = refusals.largest_document(db, state_of(db, path, "state:write"))
    document = documents.received(quota)
    with transaction() as db:
        state = state_of(db, path, "state:write")
        if query.import_:
            made = uploads.begin_again(db, principal(), state, document, here.keyring)
        else:
            made = uploads.add(db, principal(), state, document, here.keyring, force=query.force)
    return answer(StateVersion.model_validate(made), 201)
