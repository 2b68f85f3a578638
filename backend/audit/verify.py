"""Verify the chain over the audit log from its first link, and describe the first fault."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from backend.audit import chain
from backend.audit.chain import NOTHING, Head, fields_of, hash_of, sign
from backend.db import Database
from backend.models import AuditEntry, AuditLink
from backend.offload import off_loop
from backend.transactions import Caller

BATCH = 500
NEIGHBOURS = 1000  # how many links around are searched for one that was moved

Links = Sequence[Row[Any]]


@dataclass(frozen=True)
class Broken:
    """The first link that is wrong."""

    number: int
    kind: Literal["changed", "removed", "inserted", "order"]
    message: str


@dataclass(frozen=True)
class ChainReport:
    """The result: `verified` links, up to `head`, are right.

    In normal operation an entry is linked after a second or two.
    """

    verified: int
    head: Head
    broken: Broken | None
    unlinked: int
    oldest_unlinked_at: datetime | None


def verify(caller: Caller, known: Head = NOTHING) -> ChainReport:
    """Check every link, for an administrator of the installation.

    `known` is a head that somebody noted earlier. Raises Forbidden, Unreadable.
    """
    caller.principal.require_installation()
    database = caller.here.database
    with caller.reading() as tx:
        signing_key = chain.key(tx.db, tx.keyring)
    last = _walk(database, signing_key)
    with caller.reading() as tx:
        broken = _broken(tx.db, signing_key, last) or _missed(tx.db, last, known)
    return ChainReport(last.number, last, broken, *_unlinked(database))


_ROWS = (
    select(AuditLink.number, AuditLink.hash, AuditLink.mac, AuditLink.entry_id)
    .add_columns(*chain.COLUMNS)
    .outerjoin(AuditEntry, AuditEntry.id == AuditLink.entry_id)
    .order_by(AuditLink.number)
)


def _walk(database: Database, signing_key: bytes) -> Head:
    """The last link before the first fault."""
    last = NOTHING
    while True:
        with database.reading() as db:
            rows = _after(db, last, BATCH)
        before, last = last, off_loop(_follow, signing_key, last, rows)
        if last.number < before.number + BATCH:
            return last


def _after(db: Session, last: Head, limit: int) -> Links:
    return db.execute(_ROWS.where(AuditLink.number > last.number).limit(limit)).all()


def _follow(signing_key: bytes, last: Head, rows: Links) -> Head:
    for row in rows:
        if row.number != last.number + 1 or row.id is None:
            return last
        link = Head(row.number, hash_of(last.hash, fields_of(row)))
        if link.hash != row.hash or not _is_signed(signing_key, row, row.number):
            return last
        last = link
    return last


def _is_signed(signing_key: bytes, row: Row[Any], number: int) -> bool:
    """Whether this installation made the link with this number."""
    return hmac.compare_digest(sign(signing_key, number, row.hash), row.mac)


def _broken(db: Session, signing_key: bytes, last: Head) -> Broken | None:
    """The fault of the link after the last good one."""
    rows = _after(db, last, NEIGHBOURS)
    if not rows or _follow(signing_key, last, rows[:1]) != last:
        return None  # the end of the chain; newer links are good
    number, first = last.number + 1, rows[0]
    if first.number != number:
        gap = _links(number, first.number - 1)
        return Broken(number, "removed", f"{gap} missing: removed from the database.")
    if first.id is None:
        said = f"The entry {first.entry_id} of link {number} is missing: it was removed."
        return Broken(number, "removed", said)
    if _is_signed(signing_key, first, number):
        return _other_entry(last, rows)
    return _other_link(signing_key, last, rows)


def _other_entry(last: Head, rows: Links) -> Broken:
    """The fault of a link that is ours, but whose entry is not the one that was linked."""
    number, first = last.number + 1, rows[0]
    for row in rows[1:]:
        if row.id is not None and hash_of(last.hash, fields_of(row)) == first.hash:
            said = f"The links {number} and {row.number} have each other's entries."
            return Broken(number, "order", said)
    said = f"The entry {first.id} of link {number} was changed after it was linked."
    return Broken(number, "changed", said)


def _other_link(signing_key: bytes, last: Head, rows: Links) -> Broken:
    """The fault of a link that we did not make with this number."""
    number, first = last.number + 1, rows[0]
    if _has_changed_hash(signing_key, last, first):
        return Broken(number, "changed", f"The hash of link {number} was changed.")
    was = _number_of(signing_key, first, around=number)
    if was is None:
        said = f"Link {number} (entry {first.id}) was inserted: not made by this installation."
        return Broken(number, "inserted", said)
    instead = next((row for row in rows[1:] if _is_signed(signing_key, row, number)), None)
    if instead is None and was > number:
        gap = _links(number, was - 1)
        said = f"{gap} missing: removed, and the later links were renumbered."
        return Broken(number, "removed", said)
    said = f"Link {number} is the one that was made as link {was}: their order was changed."
    return Broken(number, "order", said)


def _has_changed_hash(signing_key: bytes, last: Head, row: Row[Any]) -> bool:
    made = sign(signing_key, row.number, hash_of(last.hash, fields_of(row)))
    return hmac.compare_digest(made, row.mac)


def _number_of(signing_key: bytes, row: Row[Any], around: int) -> int | None:
    """The number with which we made this link, or None."""
    numbers = range(max(1, around - NEIGHBOURS), around + NEIGHBOURS)
    return next((number for number in numbers if _is_signed(signing_key, row, number)), None)


def _missed(db: Session, last: Head, known: Head) -> Broken | None:
    """The fault that only a noted head shows: the end is missing, or the chain was made again."""
    if chain.holds(db, known):
        return None
    if known.number > last.number:
        gap = _links(last.number + 1, known.number)
        return Broken(last.number + 1, "removed", f"{gap} missing: the chain was cut at its end.")
    said = f"Link {known.number} has another hash than the noted head: the chain was made anew."
    return Broken(known.number, "changed", said)


def _links(first: int, last: int) -> str:
    return f"Link {first} is" if first == last else f"The links {first} to {last} are"


def _unlinked(database: Database) -> tuple[int, datetime | None]:
    """How many entries have no link, and the time of the oldest one."""
    count, oldest = 0, None
    after: str | None = ""
    while after is not None:
        with database.reading() as db:
            found, after = chain.patrol(db, after, BATCH)
        count += len(found)
        oldest = min(
            (entry.at for entry in found if oldest is None or entry.at < oldest), default=oldest
        )
    return count, oldest
