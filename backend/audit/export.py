"""Export the audit log as JSON lines in the order of the chain, to be checked without Stateroom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.audit import chain, linker
from backend.audit.chain import BEFORE_THE_FIRST, COLUMNS, Head, fields_of
from backend.audit.entries import Filter, require_reader
from backend.db import Database
from backend.models import AuditEntry, AuditLink
from backend.transactions import Caller

BATCH = 500


@dataclass(frozen=True)
class Export:
    """`lines` is a generator. `head` is the newest link that it may include."""

    head: Head
    lines: Iterator[bytes]


def export(caller: Caller, wanted: Filter) -> Export:
    """Every linked entry as one line of JSON, oldest first, for administrators.

    A line has the fields of the entry, its `number`, its `hash`, and as `previous` the hash of the
    previous link. So each line can be checked by itself, also where a filter leaves gaps.
    """
    require_reader(caller.principal, wanted)
    linker.catch_up(caller.here)
    with caller.reading() as tx:
        head = chain.head(tx.db)
    return Export(head, _lines(caller.here.database, wanted, head))


def _lines(database: Database, wanted: Filter, head: Head) -> Iterator[bytes]:
    """The lines, with a few hundred entries in memory at a time."""
    last = 0
    while True:
        with database.reading() as db:
            batch = _batch(db, wanted, last, head)
        yield b"".join(line for _, line in batch)
        if len(batch) < BATCH:
            return
        last = batch[-1][0]


def _batch(db: Session, wanted: Filter, last: int, head: Head) -> list[tuple[int, bytes]]:
    rows = db.execute(
        _ROWS.where(AuditLink.number > last, AuditLink.number <= head.number, *wanted.conditions())
    )
    found = []
    for row in rows:
        previous = BEFORE_THE_FIRST if row.number == 1 else row.previous
        link = {
            "number": row.number,
            "previous": None if previous is None else previous.hex(),
            "hash": row.hash.hex(),
        }
        found.append((row.number, json.dumps(link | fields_of(row)).encode() + b"\n"))
    return found


_BEFORE = aliased(AuditLink)
_ROWS = (
    select(AuditLink.number, AuditLink.hash, _BEFORE.hash.label("previous"))
    .add_columns(*COLUMNS)
    .join(AuditEntry, AuditEntry.id == AuditLink.entry_id)
    .outerjoin(_BEFORE, _BEFORE.number == AuditLink.number - 1)
    .order_by(AuditLink.number)
    .limit(BATCH)
)
