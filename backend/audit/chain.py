"""The chain over the audit log: each link covers one entry and the previous link, and is signed.

    hash = SHA-256(hash of the previous link (zeros for the first) || the entry's canonical bytes)
    mac  = HMAC-SHA-256(audit key, number as 8 bytes || hash)

Anybody can check the hashes of an export. The signature needs the keyring: somebody who has only
the database cannot forge a chain. Entries are linked after their commit, so that writers do not
wait for each other (decision 8).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, bindparam, insert, select, text
from sqlalchemy.orm import Session

from backend.db import now
from backend.errors import Unreadable
from backend.models import AuditEntry, AuditKey, AuditLink
from backend.sealing import crypto
from backend.sealing.bindings import AUDIT_KEY
from backend.sealing.keyring import Keyring

BEFORE_THE_FIRST = bytes(32)
BATCH = 200  # links of a transaction: a few milliseconds
_LOCK = 0x5747_4155  # the id of the advisory lock; any number that nobody else uses
_FIELDS = ("id", "at", "principal", "principal_id", "action", "object", "project_id", "detail")
COLUMNS = tuple(getattr(AuditEntry, name) for name in _FIELDS)


class Head(NamedTuple):
    """The newest link. Note it elsewhere to find out later whether the chain was cut at its end."""

    number: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.number}:{self.hash.hex()}"


NOTHING = Head(0, BEFORE_THE_FIRST)


@dataclass(frozen=True)
class Linked:
    """The result of one batch: how many entries were linked, and the new head."""

    count: int
    head: Head


def prepare_key(db: Session, keyring: Keyring) -> None:
    """Create the key that signs the chain, if there is none. Raises Unreadable if it was lost."""
    if db.get(AuditKey, 1) is not None:
        return
    if db.scalar(select(AuditLink.number).limit(1)) is not None:
        raise Unreadable(
            "The key that signs the audit log is missing from the table audit_key. "
            "Restore its row from your backup.",
            code="audit-key-missing",
        )
    sealed = crypto.seal_value(keyring, secrets.token_bytes(32), AUDIT_KEY)
    db.add(AuditKey(id=1, sealed=sealed))


def key(db: Session, keyring: Keyring) -> bytes:
    """The key that signs the chain. Raises Unreadable."""
    return crypto.open_value(keyring, db.get_one(AuditKey, 1).sealed, AUDIT_KEY)


def fields_of(entry: Row[Any]) -> dict[str, Any]:
    """An entry (its COLUMNS) as the export shows it."""
    found = {name: getattr(entry, name) for name in _FIELDS}
    return found | {"at": _rfc3339(entry.at)}


def canonical(fields: dict[str, Any]) -> bytes:
    """The bytes that are hashed: JSON with sorted names, without spaces, in ASCII."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def hash_of(previous: bytes, fields: dict[str, Any]) -> bytes:
    return hashlib.sha256(previous + canonical(fields)).digest()


def sign(signing_key: bytes, number: int, link_hash: bytes) -> bytes:
    return hmac.digest(signing_key, number.to_bytes(8, "big") + link_hash, "sha256")


def head(db: Session) -> Head:
    """The newest link, or NOTHING."""
    found = db.execute(_NEWEST).one_or_none()
    return NOTHING if found is None else Head(*found)


def holds(db: Session, known: Head) -> bool:
    """Whether the chain still has this link."""
    if known == NOTHING:
        return True
    return db.scalar(_HASH, {"known": known.number}) == known.hash


def link_recent(db: Session, signing_key: bytes, since: timedelta) -> Linked:
    """Link up to BATCH unlinked entries of this recent time, or none if another process does it."""
    recent = _UNLINKED.where(AuditEntry.at >= now(-since))
    return _link(db, signing_key, recent.order_by(AuditEntry.at, AuditEntry.id).limit(BATCH))


def link_page(db: Session, signing_key: bytes, page: Sequence[str]) -> Linked:
    """Link the unlinked ones of these entries, or none if another process does it."""
    some = _UNLINKED.where(AuditEntry.id.in_(page))
    return _link(db, signing_key, some.order_by(AuditEntry.at, AuditEntry.id))


def has_unlinked(db: Session, since: timedelta) -> bool:
    """Whether an entry of this recent time has no link. It does not wait for writers."""
    return db.scalar(_first_unlinked(since)) is not None


class Unlinked(NamedTuple):
    id: str
    at: datetime


class Patrol(NamedTuple):
    """A page of all entries: the unlinked ones in it, and where the next page begins."""

    unlinked: list[Unlinked]
    next_after: str | None


def patrol(db: Session, after: str, limit: int) -> Patrol:
    """Look for unlinked entries in the next page of all entries, in the order of their ids."""
    rows = db.execute(
        select(AuditEntry.id, AuditEntry.at, AuditLink.number)
        .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
        .where(AuditEntry.id > after)
        .order_by(AuditEntry.id)
        .limit(limit)
    ).all()
    unlinked = [Unlinked(entry_id, at) for entry_id, at, number in rows if number is None]
    return Patrol(unlinked, rows[-1].id if len(rows) == limit else None)


def before_recent(db: Session, since: timedelta) -> str | None:
    """The place before the first entry of this recent time, for `patrol`; None if there is none."""
    first = select(AuditEntry.id).where(AuditEntry.at >= now(-since)).order_by(AuditEntry.at)
    found = db.scalar(first.limit(1))
    return None if found is None else found[:-1]


_UNLINKED = (
    select(*COLUMNS)
    .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
    .where(AuditLink.entry_id.is_(None))
)
_HASH = select(AuditLink.hash).where(AuditLink.number == bindparam("known"))
_NEWEST = select(AuditLink.number, AuditLink.hash).order_by(AuditLink.number.desc()).limit(1)
_INSERT = insert(AuditLink)


def _link(db: Session, signing_key: bytes, entries: Select[Any]) -> Linked:
    """Link entries. Numbers are unique, so of two processes that link at once only one commits."""
    if not _alone(db):
        return Linked(0, NOTHING)
    last = head(db)
    links = []
    for entry in db.execute(entries):
        last = Head(last.number + 1, hash_of(last.hash, fields_of(entry)))
        mac = sign(signing_key, last.number, last.hash)
        links.append(last._asdict() | {"entry_id": entry.id, "mac": mac})
    if links:
        db.connection().execute(_INSERT, links)
    return Linked(len(links), last)


def _alone(db: Session) -> bool:
    """Keep others from linking until the transaction ends; False if somebody else links now.

    SQLite has only one writer anyway.
    """
    if db.get_bind().dialect.name != "postgresql":
        return True
    return bool(db.scalar(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})")))


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _first_unlinked(since: timedelta) -> Select[str]:
    """Built once: building a statement takes longer than executing it."""
    recent = _UNLINKED.with_only_columns(AuditEntry.id).where(AuditEntry.at >= now(-since))
    return recent.limit(1)
