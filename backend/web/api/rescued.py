from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field
from sqlalchemy.orm import Session

from backend import projects, rescued, states, workspaces
from backend.models import State as StateRow
from backend.web.api.answers import Answer, answer, blueprint, problems
from backend.web.api.locks import WorkspacePath
from backend.web.api.states import WORKSPACE, Digest, as_file
from backend.web.current import installation, principal, reading, transaction

bp = blueprint("rescued", "State documents that were refused, and kept")


class RescuedPath(WorkspacePath):
    rescued_id: str = Field(max_length=40)


class RescuedWrite(Answer):
    id: str
    reason: str = Field(description="The code of the refusal")
    serial: int | None
    lineage: str | None
    size: int = Field(description="Bytes")
    md5: Digest
    run_id: str | None
    created_by: str
    created_at: datetime


class RescuedWrites(Answer):
    items: list[RescuedWrite]


@bp.get(f"{WORKSPACE}/rescued", responses={200: RescuedWrites})
def list_rescued_writes(path: WorkspacePath) -> Response:
    """The documents that this state refused, newest first."""
    with reading() as db:
        found = rescued.find_all(db, _state(db, path))
    return answer(RescuedWrites.model_validate({"items": list(found)}))


@bp.get(
    f"{WORKSPACE}/rescued/<rescued_id>/download",
    responses={
        200: {
            "description": "The document, byte for byte as it arrived",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problems(500),
    },
)
def download_rescued_write(path: RescuedPath) -> Response:
    """The bytes of a refused document. This is audited."""
    here = installation()
    with transaction() as db:
        kept = rescued.download(db, principal(), _state(db, path), path.rescued_id)
    body = rescued.content(kept, here.keyring, here.blobs)
    return as_file(kept, body, f"{path.workspace}-{kept.id}.tfstate")


def _state(db: Session, path: WorkspacePath) -> StateRow:
    project = projects.get(db, principal(), path.project, "state:read")
    return states.of_workspace(db, workspaces.get(db, project, path.workspace))
