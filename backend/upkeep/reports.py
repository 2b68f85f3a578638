"""The last result of each examination of the installation, for its page of health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from backend import audit
from backend.audit import chain, verify
from backend.audit.chain import NOTHING, Head
from backend.audit.verify import ChainReport
from backend.db import now
from backend.models import Canary, Report
from backend.sealing import crypto
from backend.transactions import Caller, Transaction
from backend.upkeep import storage
from backend.upkeep.storage import Storage

AUDIT, DOCTOR, ROTATION = "audit", "doctor", "rotation"
QUICK = 100_000  # links, which take some ten seconds


def get(tx: Transaction, name: str) -> Report | None:
    """The last report of this name. For administrators of the installation."""
    tx.principal.require_installation()
    return tx.db.get(Report, name)


@dataclass(frozen=True)
class Standing:
    """The newest link of the audit log's chain, and the last verification."""

    head: Head
    last: Report | None

    @property
    def quick(self) -> bool:
        """Whether the whole chain is verified while somebody waits for a page."""
        return self.head.number <= QUICK


def audit_standing(tx: Transaction) -> Standing:
    """How far the audit log is linked and verified. For administrators of the installation."""
    return Standing(chain.head(tx.db), get(tx, AUDIT))


def verify_audit(caller: Caller, known: Head = NOTHING) -> ChainReport:
    """Verify the chain over the audit log, and remember how far it was right.

    For administrators of the installation. Raises Forbidden, Unreadable.
    """
    found = verify.verify(caller, known)
    broken = found.broken
    with caller.transaction() as tx:
        _store(
            tx, AUDIT,
            {
                "verified": found.verified,
                "head": str(found.head),
                "broken": None if broken is None else broken.message,
            },
        )  # fmt: skip
    return found


def store_doctor(tx: Transaction, content: dict[str, Any]) -> Report:
    """Keep what `stateroom doctor` found. For administrators of the installation."""
    tx.principal.require_installation()
    stored = _store(tx, DOCTOR, content)
    audit.record(tx, "installation.doctor", DOCTOR, sound=content["sound"])
    return stored


def note_rewrapped(tx: Transaction, key_id: str) -> None:
    """Remember that everything is wrapped with this key. For Stateroom itself."""
    known = get(tx, ROTATION)
    if known is None or known.content["key"] != key_id:
        _store(tx, ROTATION, {"key": key_id})


@dataclass(frozen=True)
class Condition:
    """What an installation tells of itself: its keys, the room it takes, and the last reports.

    `current` is the id of the key that seals, `since` then. `is_rotating`: some objects are wrapped
    with another key still.
    """

    keys: Sequence[str]
    current: str
    since: datetime
    is_rotating: bool
    storage: Storage
    doctor: Report | None
    audit: Report | None


def condition(tx: Transaction) -> Condition:
    """For administrators of the installation. It counts nothing, and is quick."""
    tx.principal.require_installation()
    found = {one.name: one for one in tx.db.scalars(select(Report))}
    canary = tx.db.scalars(select(Canary)).one()
    current, rotated = crypto.value_key_id(canary.sealed), found.get(ROTATION)
    return Condition(
        keys=sorted(tx.keyring.keys),
        current=current,
        since=canary.created_at,
        is_rotating=rotated is None or rotated.content["key"] != current,
        storage=storage.measure(tx),
        doctor=found.get(DOCTOR),
        audit=found.get(AUDIT),
    )


def _store(tx: Transaction, name: str, content: dict[str, Any]) -> Report:
    row = tx.db.scalars(select(Report).where(Report.name == name).with_for_update()).one_or_none()
    if row is None:
        row = Report(name=name)
        tx.db.add(row)
    row.by, row.content = tx.principal.name, content
    row.at = tx.db.scalars(select(now())).one()
    tx.db.flush()
    return row
