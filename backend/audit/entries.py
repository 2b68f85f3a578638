"""Write entries of the audit log, in the transaction of the change, and find them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, event, insert, literal, or_, select, tuple_
from sqlalchemy.orm import Session

from backend.db import execute, now
from backend.errors import Invalid
from backend.express import NewRow, Statement
from backend.models import AuditEntry, AuditLink, new_id
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.principal import SYSTEM, Principal
from backend.sealing import proven
from backend.transactions import Transaction

_INSERT = insert(AuditEntry)
_GIVEN = ("id", "principal", "principal_id", "action", "object", "project_id", "detail")
INSERT = Statement(_INSERT.values(at=now(), **{name: bindparam(name) for name in _GIVEN}))
ROW = NewRow(AuditEntry, "entry", _GIVEN, {"at": now()})


@dataclass(frozen=True)
class Filter:
    """The entries to look for. A field of None matches all of them.

    `principal` is a name, or the id of a person, a token, an alias or a run. `action` is an action
    or the beginning of several (`state.`). `since` is included, `until` is not.
    """

    project_id: str | None = None
    principal: str | None = None
    action: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        asked: tuple[tuple[Any, Callable[[Any], ColumnElement[bool]]], ...] = (
            (self.project_id, AuditEntry.project_id.__eq__),
            (self.principal, _is_by),
            (self.action, _begins_with),
            (self.object, AuditEntry.object.__eq__),
            (self.since, AuditEntry.at.__ge__),
            (self.until, AuditEntry.at.__lt__),
        )
        return [condition(value) for value, condition in asked if value is not None]


@dataclass(frozen=True)
class Numbered:
    """An entry and its number in the chain, or None until it is linked, which takes a second."""

    entry: AuditEntry
    number: int | None


def record(
    tx: Transaction, action: str, thing: str, *, project_id: str | None = None, **detail: Any
) -> None:
    """Write one entry in the transaction of the change, so that both are stored, or neither.

    People choose names, and may choose those of others. So the entry has the id beside the name.
    Its `rows` are the revisions of the proven rows that were changed since the last entry.
    """
    tx.db.flush()
    changed = proven.take_changed(tx.db) or None
    execute(tx.db, _INSERT, entry(tx.principal, action, thing, project_id, **detail, rows=changed))


@event.listens_for(Session, "before_commit")
def _record_rest(db: Session) -> None:
    """Name the changed rows that no entry of this transaction has named, in one of their own."""
    db.flush()
    if changed := proven.take_changed(db):
        execute(db, _INSERT, entry(SYSTEM, "rows.change", "rows", None, rows=changed))


def entry(
    principal: Principal, action: str, thing: str, project_id: str | None, **detail: Any
) -> dict[str, Any]:
    """The parameters for INSERT, which writes what `record` writes without mapped objects."""
    if principal.user_id is not None:
        detail["token"] = principal.token_id
    return {
        "id": new_id("aud"),
        "principal": principal.name,
        "principal_id": principal.run_id or principal.user_id or principal.token_id or None,
        "action": action,
        "object": thing,
        "project_id": project_id,
        "detail": {name: value for name, value in detail.items() if value is not None},
    }


def find_all(
    tx: Transaction, wanted: Filter, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Numbered]:
    """Entries, newest first. The cursor is the id of an entry. Raises Invalid for a wrong cursor.

    For administrators of the filter's project, or of the installation.
    """
    require_reader(tx.principal, wanted)
    query = (
        select(AuditEntry, AuditLink.number)
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(*wanted.conditions())
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(_older(tx.db, after))
    found = [Numbered(entry, number) for entry, number in tx.db.execute(query)]
    return cut(found, limit, lambda row: row.entry.id)


def require_reader(principal: Principal, wanted: Filter) -> None:
    """Raise Forbidden unless the principal administers the filter's project or the installation."""
    if wanted.project_id is None:
        principal.require_installation()
    else:
        principal.require("admin", wanted.project_id)


def _begins_with(action: str) -> ColumnElement[bool]:
    return AuditEntry.action.startswith(action, autoescape=True)


def _is_by(who: str) -> ColumnElement[bool]:
    found = or_(AuditEntry.principal == who, AuditEntry.principal_id == who)
    if not who.startswith("tok_"):
        return found  # reading the facts of every entry takes longer than all the rest
    return or_(found, AuditEntry.detail["token"].as_string() == who)


def _older(db: Session, entry_id: str) -> ColumnElement[bool]:
    at = db.scalar(select(AuditEntry.at).where(AuditEntry.id == entry_id))
    if at is None:
        raise Invalid("The cursor does not belong to this list.", code="cursor-unknown")
    place = literal(at, AuditEntry.at.type), literal(entry_id, AuditEntry.id.type)
    return tuple_(AuditEntry.at, AuditEntry.id) < tuple_(*place)
