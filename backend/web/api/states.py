from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from flask import request
from pydantic import BeforeValidator, Field
from werkzeug.wrappers import Response

from backend.models import RescuedWrite
from backend.models import State as StateRow
from backend.models import StateVersion as VersionRow
from backend.runs import overviews
from backend.runs.overviews import StateOverview
from backend.states import (
    restoring,
    states,
    trash,
    uploads,
    versions,
)
from backend.transactions import Transaction
from backend.web import documents
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Answer,
    Body,
    Cursor,
    Page,
    Query,
    Sealed,
    WorkspacePath,
    answer,
    blueprint,
    problems,
    with_fault,
)
from backend.web.current import caller, installation, reading, transaction

bp = blueprint("states", "States and their versions", streaming=("upload_state",))

DOCUMENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The output of `terraform state pull`, or any other state document. Its "
        "bytes are stored unchanged",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


def _hex(digest: object) -> object:
    return digest.hex() if isinstance(digest, bytes) else digest


Digest = Annotated[str, BeforeValidator(_hex), Field(description="Of the bytes as written, in hex")]


class VersionPath(WorkspacePath):
    version: str = Field(pattern=r"^([1-9][0-9]{0,8}|latest)$", description="A number, or `latest`")


class VersionCursor(Cursor):
    cursor: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]{0,8}$",
        description="`next_cursor` of the previous page; empty for the first page",
    )


class VersionList(VersionCursor):
    removed: bool = Field(default=False, description="Include versions whose body was removed")


class VersionChange(Body):
    pinned: bool = Field(description="Retention never removes a pinned version")


class Upload(Query):
    force: bool = Field(default=False, description="Allow a lower serial, or another lineage")
    import_: bool = Field(
        default=False,
        alias="import",
        description="Only store it in a state that was never written, or was purged",
    )


class StateVersion(Sealed):
    number: int = Field(description="1 to n, without gaps")
    serial: int | None
    lineage: str | None
    terraform_version: str | None
    encrypted: bool = Field(description="Encrypted by OpenTofu itself")
    size: int = Field(description="Bytes")
    md5: Digest
    sha256: Digest
    lock_id: str | None = Field(description="The lock under which it was written; null: no lock")
    operation: str | None = Field(
        description="The operation in the client's lock; or restore, upload, import, promote"
    )
    forced: bool = Field(description="It replaced a higher serial or another lineage, by force")
    restored_from: int | None = Field(description="The number of the version that it is a copy of")
    pinned: bool
    removed_at: datetime | None = Field(description="When its body was removed")
    removed_because: str | None = Field(description="retention, compaction, deleted or purged")
    run_id: str | None
    created_by: str
    created_at: datetime


class StateVersions(Page[StateVersion]):
    pass


class State(Answer):
    id: str
    deleted_at: datetime | None
    archived_at: datetime | None = Field(description="When it was moved to another backend")
    archived_to: str | None = Field(description="The backend that it was moved to")
    rescued: int = Field(description="The number of refused writes that wait for a decision")
    current: StateVersion | None = Field(description="The newest version; null: never written")


def shown(found: StateOverview) -> State:
    state, current = found.state, found.current
    return State(
        id=state.id,
        deleted_at=state.deleted_at,
        archived_at=state.archived_at,
        archived_to=state.archived_to,
        rescued=found.rescued,
        current=None if current is None else shown_version(current),
    )


def shown_version(version: VersionRow) -> StateVersion:
    return with_fault(StateVersion, version, states.fault(installation().keyring, version))


@bp.get(f"{WORKSPACE}/states", responses={200: StateVersions})
def list_state_versions(path: WorkspacePath, query: VersionList) -> Response:
    """The versions of a state, newest first."""
    find = versions.find_history if query.removed else versions.find_all
    with reading() as tx:
        found = find(tx, state_of(tx, path), query.cursor, query.limit)
    items = [shown_version(version) for version in found.items]
    return answer(StateVersions(items=items, next_cursor=found.next_cursor))


@bp.post(
    f"{WORKSPACE}/states",
    responses={201: StateVersion, **problems(409, 410, 413, 423)},
    openapi_extensions=DOCUMENT,
)
def upload_state(path: WorkspacePath, query: Upload) -> Response:
    """Store the body as a new version. Lock, serial and lineage are checked as for terraform.

    The first version of a state is an import: bytes, serial and lineage are kept.
    """
    where, document = (path.project, path.workspace), documents.incoming(request)
    if query.import_:
        made = uploads.import_document(caller(), *where, document)
    else:
        made = uploads.upload(caller(), *where, document, force=query.force)
    return answer(shown_version(made), 201)


@bp.delete(f"{WORKSPACE}/states", responses={200: State, **problems(423)})
def delete_state(path: WorkspacePath) -> Response:
    """Delete the state: its address answers 410 until it is restored. Its versions are kept."""
    with transaction() as tx:
        state = state_of(tx, path)
        trash.delete(tx, state)
        gone = shown(overviews.of_state(tx, state))
    return answer(gone)


@bp.post(f"{WORKSPACE}/states/undelete", responses={200: State, **problems(410)})
def undelete_state(path: WorkspacePath) -> Response:
    """Restore a deleted state as it was. A purged one cannot be restored."""
    with transaction() as tx:
        state = state_of(tx, path)
        trash.undelete(tx, state)
        back = shown(overviews.of_state(tx, state))
    return answer(back)


@bp.post(f"{WORKSPACE}/states/purge", responses={200: State, **problems(409)})
def purge_state(path: WorkspacePath) -> Response:
    """Remove the content of a deleted state for good.

    Its address answers 410 until a document is imported or the workspace is deleted. With 404,
    which means "no state yet", the next plan would create everything again.
    """
    with transaction() as tx:
        state = state_of(tx, path)
        trash.purge(tx, state)
        gone = shown(overviews.of_state(tx, state))
    return answer(gone)


@bp.get(f"{WORKSPACE}/states/<version>", responses={200: StateVersion, **problems(410)})
def get_state_version(path: VersionPath) -> Response:
    """One version of a state, without its body."""
    with reading() as tx:
        version = versions.get(tx, state_of(tx, path), path.version)
    return answer(shown_version(version))


@bp.patch(
    f"{WORKSPACE}/states/<version>",
    responses={200: StateVersion, **WITH_BODY, **problems(410)},
)
def update_state_version(path: VersionPath, body: VersionChange) -> Response:
    """Pin a version, or unpin it. Unpinning lets retention remove it, and needs state:delete."""
    change = versions.pin if body.pinned else versions.unpin
    with transaction() as tx:
        changed = change(tx, state_of(tx, path), path.version)
    return answer(shown_version(changed))


@bp.delete(f"{WORKSPACE}/states/<version>", responses={200: StateVersion, **problems(409, 410)})
def delete_state_version(path: VersionPath) -> Response:
    """Remove the body of one version. The current one and pinned ones cannot be removed."""
    with transaction() as tx:
        gone = versions.delete(tx, state_of(tx, path), path.version)
    return answer(shown_version(gone))


@bp.post(
    f"{WORKSPACE}/states/<version>/restore",
    responses={201: StateVersion, **problems(409, 410, 423, 500)},
)
def restore_state_version(path: VersionPath) -> Response:
    """Store this version again as the newest one, with the next serial.

    All other bytes are unchanged. The state must not be locked. If this version is the current one,
    or the current one was restored from it, nothing is stored. A version that OpenTofu encrypted
    keeps its serial, which tofu also stores inside, and is recorded as forced.
    """
    made = restoring.restore(caller(), path.project, path.workspace, path.version)
    return answer(shown_version(made), 201)


@bp.get(
    f"{WORKSPACE}/states/<version>/download",
    responses={
        200: {
            "description": "The state, byte for byte as written",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problems(410, 500),
    },
)
def download_state_version(path: VersionPath) -> Response:
    """The bytes of one version; `latest` is the current one. This is audited."""
    here = installation()
    with transaction() as tx:
        version = versions.download(tx, state_of(tx, path), path.version)
    body = states.content(version, here.keyring, here.blobs)
    return as_file(version, body, f"{path.workspace}-{version.number}.tfstate")


def state_of(tx: Transaction, path: WorkspacePath) -> StateRow:
    return states.named(tx, path.project, path.workspace)


def as_file(document: VersionRow | RescuedWrite, body: Iterator[bytes], name: str) -> Response:
    response = documents.respond(document, body)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
