from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from flask import Response
from pydantic import AwareDatetime, BeforeValidator, Field, model_validator

from backend.audit import entries, export
from backend.audit.chain import NOTHING, Head
from backend.audit.entries import Filter, Numbered
from backend.catalogue import projects
from backend.upkeep import reports
from backend.web.api.answers import (
    Answer,
    Cursor,
    Page,
    ProjectPath,
    Query,
    answer,
    blueprint,
    problems,
)
from backend.web.current import caller, reading

bp = blueprint("audit", "The audit log: who made which change, and who read which state")

_LINES: dict[Any, Any] = {
    200: {
        "description": "JSON lines, in the order of the chain",
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
    },
    **problems(500),
}
_TEXT = r"^[^\x00]*$"


class Period(Query):
    since: AwareDatetime | None = Field(None, description="The begin, included, with a time zone")
    until: AwareDatetime | None = Field(None, description="The end, excluded, with a time zone")


class AuditQuery(Cursor, Period):
    principal: str | None = Field(
        None, max_length=80, pattern=_TEXT, description="A name, or the id of a token or person"
    )
    action: str | None = Field(
        None,
        max_length=64,
        pattern=_TEXT,
        description="An action, or the beginning of several: `state.`",
    )
    object: str | None = Field(None, max_length=120, pattern=_TEXT, description="An id")

    def filter(self, project_id: str | None) -> Filter:
        return Filter(project_id, self.principal, self.action, self.object, self.since, self.until)


class AuditEntry(Answer):
    id: str
    number: int | None = Field(description="Its number in the chain; null for the first second")
    at: datetime
    principal: str = Field(description="The name of who did it; names need not be unique")
    principal_id: str | None = Field(
        description="The id of the person, token, alias or run; null: Stateroom itself"
    )
    action: str
    object: str = Field(description="The id of the object of the action")
    project_id: str | None
    detail: dict[str, Any] = Field(description="May contain untrusted text from clients")


class AuditEntries(Page[AuditEntry]):
    pass


class KnownHead(Query):
    head: str | None = Field(
        None,
        pattern=r"^[1-9][0-9]{0,17}:[0-9a-f]{64}$",
        description="`head` of an earlier verification, to find out whether the chain was cut",
    )

    def known(self) -> Head:
        if self.head is None:
            return NOTHING
        number, digest = self.head.split(":")
        return Head(int(number), bytes.fromhex(digest))


class BrokenLink(Answer):
    number: int
    kind: str = Field(description="changed, removed, inserted or order")
    message: str


class Verification(Answer):
    ok: bool = False
    verified: int = Field(description="How many links, from the first one, are right")
    head: Annotated[str, BeforeValidator(str)] = Field(
        description="NUMBER:HASH of the last verified link. Note it elsewhere for the next time"
    )
    broken: BrokenLink | None = Field(description="The first link that is wrong")
    unlinked: int = Field(description="Entries without a link; new ones get theirs in a second")
    oldest_unlinked_at: datetime | None

    @model_validator(mode="after")
    def _is_ok(self) -> Verification:
        self.ok = self.broken is None
        return self


@bp.get("/audit", responses={200: AuditEntries})
def list_audit(query: AuditQuery) -> Response:
    """The audit log of the installation, newest first. For its administrators."""
    return _list(query, None)


@bp.get("/projects/<project>/audit", responses={200: AuditEntries})
def list_project_audit(path: ProjectPath, query: AuditQuery) -> Response:
    """The audit log of a project, newest first. For its administrators."""
    return _list(query, _project_id(path))


@bp.get("/audit/export", responses=_LINES)
def export_audit(query: Period) -> Response:
    """The audit log of the installation as JSON lines, oldest first, with the chain's hashes."""
    return _export(query, None)


@bp.get("/projects/<project>/audit/export", responses=_LINES)
def export_project_audit(path: ProjectPath, query: Period) -> Response:
    """The audit log of a project as JSON lines. The numbers have gaps."""
    return _export(query, _project_id(path))


@bp.get("/audit/verify", responses={200: Verification, **problems(500)})
def verify_audit(query: KnownHead) -> Response:
    """Check the whole chain for entries that were changed, removed, inserted or moved."""
    found = reports.verify_audit(caller(), query.known())
    return answer(Verification.model_validate(found))


def _project_id(path: ProjectPath) -> str:
    with reading() as tx:
        return projects.named(tx, path.project).id


def _list(query: AuditQuery, project_id: str | None) -> Response:
    with reading() as tx:
        found = entries.find_all(tx, query.filter(project_id), query.cursor, query.limit)
        items = [shown(row) for row in found.items]
    return answer(AuditEntries(items=items, next_cursor=found.next_cursor))


def shown(row: Numbered) -> AuditEntry:
    entry = row.entry
    return AuditEntry(
        number=row.number,
        **{name: getattr(entry, name) for name in AuditEntry.model_fields if name != "number"},
    )


def _export(query: Period, project_id: str | None) -> Response:
    wanted = Filter(project_id, since=query.since, until=query.until)
    exported = export.export(caller(), wanted)
    response = Response(exported.lines, content_type="application/x-ndjson")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Stateroom-Audit-Head"] = str(exported.head)
    return response
