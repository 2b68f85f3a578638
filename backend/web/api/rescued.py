from __future__ import annotations

from datetime import datetime

from pydantic import Field
from werkzeug.wrappers import Response

from backend.models import RescuedWrite as RescuedRow
from backend.states import rescued, restoring
from backend.states.rescued import Compared, Comparison
from backend.web.api.answers import (
    WORKSPACE,
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
from backend.web.api.states import Digest, StateVersion, as_file, shown_version, state_of
from backend.web.current import caller, installation, reading, transaction

bp = blueprint("rescued", "State documents that were refused, and are kept until somebody decides")


class RescuedPath(WorkspacePath):
    rescued_id: str = Field(max_length=40)


class RescuedList(Cursor):
    undecided: bool = Field(default=False, description="Only those that wait for a decision")


class Force(Query):
    force: bool = Field(default=False, description="Promote it although it has another lineage")


class RescuedWrite(Sealed):
    id: str
    reason: str = Field(description="The code of the refusal")
    serial: int | None
    lineage: str | None
    size: int = Field(description="Bytes")
    md5: Digest
    sha256: Digest | None
    run_id: str | None
    created_by: str
    created_at: datetime
    decision: str | None = Field(description="promoted, dismissed or purged; its body is then gone")
    decided_at: datetime | None
    decided_by: str | None
    promoted_to: int | None = Field(description="The number of the version that it became")


class RescuedWrites(Page[RescuedWrite]):
    pass


class RescuedWriteDetail(RescuedWrite):
    comparison: Comparison = Field(
        description="Compared with the current version; `stored`: a version has the same bytes"
    )
    equals_version: int | None = Field(description="The newest version with the same bytes")
    current: StateVersion | None = Field(description="The newest version; null: never written")


@bp.get(f"{WORKSPACE}/rescued", responses={200: RescuedWrites})
def list_rescued_writes(path: WorkspacePath, query: RescuedList) -> Response:
    """The refused documents of this state, newest first."""
    find = rescued.find_undecided if query.undecided else rescued.find_all
    with reading() as tx:
        found = find(tx, state_of(tx, path), query.cursor, query.limit)
    items = [shown(kept) for kept in found.items]
    return answer(RescuedWrites(items=items, next_cursor=found.next_cursor))


@bp.get(f"{WORKSPACE}/rescued/<rescued_id>", responses={200: RescuedWriteDetail})
def get_rescued_write(path: RescuedPath) -> Response:
    """One refused document, compared with what is stored."""
    with reading() as tx:
        compared = rescued.get(tx, state_of(tx, path), path.rescued_id)
    return answer(detailed(compared))


@bp.get(
    f"{WORKSPACE}/rescued/<rescued_id>/download",
    responses={
        200: {
            "description": "The document, byte for byte as it arrived",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problems(409, 500),
    },
)
def download_rescued_write(path: RescuedPath) -> Response:
    """The bytes of a refused document. This is audited."""
    here = installation()
    with transaction() as tx:
        kept = rescued.download(tx, state_of(tx, path), path.rescued_id)
    body = rescued.content(kept, here.keyring, here.blobs)
    return as_file(kept, body, f"{path.workspace}-{kept.id}.tfstate")


@bp.post(
    f"{WORKSPACE}/rescued/<rescued_id>/promote",
    responses={201: StateVersion, **problems(409, 410, 423, 500)},
)
def promote_rescued_write(path: RescuedPath, query: Force) -> Response:
    """Store it as the newest version. If necessary, its serial is raised above all others.

    The state must not be locked. A document that OpenTofu encrypted keeps its serial.
    """
    made = restoring.promote(
        caller(), path.project, path.workspace, path.rescued_id, force=query.force
    )
    return answer(shown_version(made), 201)


@bp.post(
    f"{WORKSPACE}/rescued/<rescued_id>/dismiss", responses={200: RescuedWrite, **problems(409)}
)
def dismiss_rescued_write(path: RescuedPath) -> Response:
    """Remove the body of a refused document. Who decided so stays recorded."""
    with transaction() as tx:
        gone = rescued.dismiss(tx, state_of(tx, path), path.rescued_id)
    return answer(shown(gone))


def shown(kept: RescuedRow) -> RescuedWrite:
    return with_fault(RescuedWrite, kept, rescued.fault(installation().keyring, kept))


def detailed(compared: Compared) -> RescuedWriteDetail:
    return RescuedWriteDetail(
        **shown(compared.kept).model_dump(),
        comparison=compared.comparison,
        equals_version=compared.equals,
        current=None if compared.current is None else shown_version(compared.current),
    )
