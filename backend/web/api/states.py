from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from flask import Response
from pydantic import BeforeValidator, Field
from sqlalchemy.orm import Session

from backend import outputs, projects, states, versions, workspaces
from backend.models import RescuedWrite
from backend.models import State as StateRow
from backend.models import StateVersion as VersionRow
from backend.offload import off_loop
from backend.web import documents
from backend.web.api.answers import Answer, Cursor, Page, Query, answer, blueprint, problems
from backend.web.api.locks import WorkspacePath
from backend.web.current import installation, principal, reading, transaction

bp = blueprint("states", "States, their versions and their outputs")

WORKSPACE = "/projects/<project>/workspaces/<workspace>"


def _hex(digest: object) -> object:
    return digest.hex() if isinstance(digest, bytes) else digest


Digest = Annotated[str, BeforeValidator(_hex), Field(description="In hex, of the bytes as written")]


class VersionPath(WorkspacePath):
    version: str = Field(pattern=r"^([1-9][0-9]{0,8}|latest)$", description="A number, or `latest`")


class VersionCursor(Cursor):
    cursor: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]{0,8}$",
        description="`next_cursor` of the page before; without it the first page",
    )


class Reveal(Query):
    show_sensitive: bool = Field(
        default=False, description="Show sensitive values too: this needs state:read"
    )


class StateVersion(Answer):
    number: int = Field(description="1 to n, without gaps")
    serial: int | None
    lineage: str | None
    terraform_version: str | None
    encrypted: bool = Field(description="By OpenTofu itself")
    size: int = Field(description="Bytes")
    md5: Digest
    sha256: Digest
    lock_id: str | None = Field(description="The lock it was written under; null: under none")
    operation: str | None
    forced: bool = Field(description="It replaced a newer serial, or another lineage, on purpose")
    run_id: str | None
    created_by: str
    created_at: datetime


class StateVersions(Page[StateVersion]):
    pass


class State(Answer):
    id: str
    deleted_at: datetime | None
    current: StateVersion | None = Field(description="The newest version; null: never written")


class Output(Answer):
    value: Any = Field(None, description="Null when it is sensitive and not shown")
    type: Any = None
    sensitive: bool


class Outputs(Answer):
    version: int | None = Field(description="Of the state they are in; null: never written")
    outputs: dict[str, Output]


def shown(db: Session, state: StateRow) -> State:
    newest = versions.newest(db, state)
    return State(
        id=state.id,
        deleted_at=state.deleted_at,
        current=None if newest is None else StateVersion.model_validate(newest),
    )


@bp.get(f"{WORKSPACE}/states", responses={200: StateVersions})
def list_state_versions(path: WorkspacePath, query: VersionCursor) -> Response:
    """The versions of a state, newest first."""
    with reading() as db:
        state = _state(db, path, "state:read")
        found = versions.find_all(db, state, query.cursor, query.limit)
    return answer(StateVersions.model_validate(found))


@bp.delete(f"{WORKSPACE}/states", responses={200: State, **problems(423)})
def delete_state(path: WorkspacePath) -> Response:
    """Delete the state: its address answers 410 until it is restored. Its versions are kept."""
    with transaction() as db:
        state = _state(db, path, "state:delete")
        states.delete(db, principal(), state)
        gone = shown(db, state)
    return answer(gone)


@bp.post(f"{WORKSPACE}/states/undelete", responses={200: State})
def undelete_state(path: WorkspacePath) -> Response:
    """Bring a deleted state back as it was."""
    with transaction() as db:
        state = _state(db, path, "state:delete")
        states.undelete(db, principal(), state)
        back = shown(db, state)
    return answer(back)


@bp.get(f"{WORKSPACE}/states/<version>", responses={200: StateVersion, **problems(410)})
def get_state_version(path: VersionPath) -> Response:
    """One version of a state, without its body."""
    with reading() as db:
        version = versions.get(db, _state(db, path, "state:read"), path.version)
    return answer(StateVersion.model_validate(version))


@bp.get(
    f"{WORKSPACE}/states/<version>/download",
    responses={
        200: {
            "description": "The state, byte for byte as it was written",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problems(410, 500),
    },
)
def download_state_version(path: VersionPath) -> Response:
    """The bytes of one version. This is audited."""
    here = installation()
    with transaction() as db:
        state = _state(db, path, "state:read")
        version = versions.download(db, principal(), state, path.version)
    body = states.content(version, here.keyring, here.blobs)
    return as_file(version, body, f"{path.workspace}-{version.number}.tfstate")


@bp.get(f"{WORKSPACE}/outputs", responses={200: Outputs, **problems(409, 410, 500)})
def get_outputs(path: WorkspacePath, query: Reveal) -> Response:
    """The outputs in the newest version of the state."""
    here = installation()
    with transaction() if query.show_sensitive else reading() as db:
        state = _state(db, path, "outputs:read")
        if query.show_sensitive:
            outputs.note_revealed(db, principal(), state)
        version = states.current(db, state)
    if version is None:
        return answer(Outputs(version=None, outputs={}))
    content = states.content(version, here.keyring, here.blobs)
    found = off_loop(outputs.read, version, content)
    seen = found if query.show_sensitive else outputs.masked(found)
    return answer(Outputs.model_validate({"version": version.number, "outputs": seen}))


def _state(db: Session, path: WorkspacePath, scope: str) -> StateRow:
    project = projects.get(db, principal(), path.project, scope)
    return states.of_workspace(db, workspaces.get(db, project, path.workspace))


def as_file(document: VersionRow | RescuedWrite, body: Iterator[bytes], name: str) -> Response:
    response = documents.respond(document, body)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
