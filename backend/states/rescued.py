"""State documents that were refused: kept sealed, so that nothing is lost and a person decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import structlog
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session, undefer

from backend import audit
from backend.db import execute
from backend.documents import intake
from backend.documents.intake import Received
from backend.errors import Conflict, NotFound
from backend.models import RescuedWrite, Run, State, StateVersion
from backend.paging import DEFAULT_LIMIT, Page, cut
from backend.principal import RESCUE
from backend.sealing import bindings, faults
from backend.sealing.blobs import Blobs
from backend.sealing.faults import Fault
from backend.sealing.keyring import Envelope, Keyring
from backend.states import locks, retention, states
from backend.transactions import Transaction

MOST_UNDECIDED = 100  # of one state
Comparison = Literal[
    "never-written", "other-lineage", "newer", "older", "same-serial", "stored", "unknown"
]

log = structlog.get_logger()

_UNDECIDED = RescuedWrite.decision.is_(None)


def keep(tx: Transaction, state: State, document: Received, reason: str) -> RescuedWrite | None:
    """Keep a refused document. `reason` is the code of the refusal.

    The same bytes are kept once. None when the state has too many already, or too large ones: the
    older ones stay, for terraform has this one in errored.tfstate as well.
    """
    tx.require_any((RESCUE, "state:write"), state.project_id)
    db = tx.db
    run = _run_of(tx)  # before the lock's row, as everywhere
    locks.for_update(tx, state)
    known = db.scalars(_of(state).where(_UNDECIDED, RescuedWrite.sha256 == document.sha256)).first()
    if known is not None:
        return known
    most = tx.settings.max_rescued_bytes
    if (count := _beyond(db, state, document.size, most)) is not None:
        log.warning(
            "rescued_writes_full", state=state.id, undecided=count, reason=reason,
            size=document.size, serial=document.heading.serial, principal=tx.principal.name,
        )  # fmt: skip
        return None
    kept = RescuedWrite(
        state_id=state.id,
        reason=reason,
        **states.sealed_columns(tx.keyring, tx.principal, document, state.id, None),
    )
    db.add(kept)
    db.flush()
    if run is not None:  # who looks at the run looks for what became of the state
        said = f"a state that it wrote was refused ({reason}) and kept: {kept.id}"
        run.warnings = [*run.warnings, said]
    audit.record(
        tx, "state.rescue", state.id, project_id=state.project_id,
        rescued=kept.id, reason=reason,
    )  # fmt: skip
    return kept


def find_all(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RescuedWrite]:
    """Newest first, without their bodies. The cursor is the id of one."""
    tx.require("state:read", state.project_id)
    return _page(tx.db, _of(state), after, limit)


def find_undecided(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RescuedWrite]:
    """`find_all`, but only what waits for a decision."""
    tx.require("state:read", state.project_id)
    return _page(tx.db, _of(state).where(_UNDECIDED), after, limit)


def undecided(db: Session, state: State) -> int:
    """How many wait for a decision."""
    counted = select(func.count()).where(RescuedWrite.state_id == state.id, _UNDECIDED)
    return db.scalar(counted) or 0


def named(db: Session, state: State, rescued_id: str) -> RescuedWrite:
    """A refused document with its body. Raises NotFound."""
    asked = _of(state).where(RescuedWrite.id == rescued_id).options(undefer(RescuedWrite.sealed))
    kept = db.scalars(asked).one_or_none()
    if kept is None:
        raise NotFound(f"There is no rescued write {rescued_id} of this state.")
    return kept


@dataclass(frozen=True, slots=True)
class Compared:
    """A refused document beside what is stored. `equals`: a version that has the same bytes."""

    kept: RescuedWrite
    verdict: Comparison
    equals: int | None
    current: StateVersion | None


def get(tx: Transaction, state: State, rescued_id: str) -> Compared:
    """A refused document, and what it is, seen from the current version. Raises NotFound."""
    tx.require("state:read", state.project_id)
    db = tx.db
    kept = named(db, state, rescued_id)
    equals = None
    if kept.sha256 is not None:
        equals = db.scalar(
            select(func.max(StateVersion.number)).where(
                StateVersion.state_id == state.id,
                StateVersion.sha256 == kept.sha256,
                StateVersion.removed_at.is_(None),  # else these are the only ones left
            )
        )
    current = states.newest(db, state)
    return Compared(kept, "stored" if equals else _verdict(kept, current), equals, current)


def download(tx: Transaction, state: State, rescued_id: str) -> RescuedWrite:
    """A refused document with its body, for a person: audited. Raises NotFound and Conflict."""
    tx.require("state:read", state.project_id)
    kept = named(tx.db, state, rescued_id)
    refuse_decided(kept)
    audit.record(
        tx, "state.rescued_download", state.id, project_id=state.project_id, rescued=kept.id
    )
    return kept


def dismiss(tx: Transaction, state: State, rescued_id: str) -> RescuedWrite:
    """Remove its body: nobody needs it. Raises NotFound, and Conflict when that is decided."""
    tx.require("state:write", state.project_id)
    locks.for_update(tx, state)
    kept = named(tx.db, state, rescued_id)
    refuse_decided(kept)
    audit.record(tx, "state.dismiss", state.id, project_id=state.project_id, rescued=kept.id)
    return decide(tx, state, kept, "dismissed")


def decide(
    tx: Transaction,
    state: State,
    kept: RescuedWrite,
    decision: Literal["promoted", "dismissed"],
    promoted_to: int | None = None,
) -> RescuedWrite:
    """Its row stays, with the decision; its body goes. The caller holds the lock's row."""
    tx.require("state:write", state.project_id)
    values = retention.decided(decision, tx.principal.name) | {"promoted_to": promoted_to}
    execute(tx.db, update(RescuedWrite).where(RescuedWrite.id == kept.id).values(values), {})
    tx.db.refresh(kept)
    return kept


def refuse_decided(kept: RescuedWrite) -> None:
    if kept.decision is not None:
        raise Conflict(
            f"This rescued write was {kept.decision} by {kept.decided_by} already.",
            code="rescued-decided",
            decision=kept.decision,
            promoted_to=kept.promoted_to,
        )


def content(kept: RescuedWrite, keyring: Keyring, blobs: Blobs) -> Iterator[bytes]:
    """The refused bytes, as they arrived. Raises Unreadable before the first of them."""
    return intake.download(_data_key(keyring, kept), kept.sealed, kept.blob, blobs)


def fault(keyring: Keyring, kept: RescuedWrite) -> Fault | None:
    """Why its data key does not open; None when it does, or when it is decided."""
    if kept.decision is not None:
        return None
    return faults.found(lambda: _data_key(keyring, kept))


def _data_key(keyring: Keyring, kept: RescuedWrite) -> bytes:
    binding = bindings.document(kept.state_id, None, kept.lineage, kept.serial)
    return keyring.unwrap(Envelope(kept.key_id, kept.wrapped_key), binding)


def _of(state: State) -> Select[RescuedWrite]:
    return select(RescuedWrite).where(RescuedWrite.state_id == state.id)


def _page(
    db: Session, query: Select[RescuedWrite], after: str | None, limit: int
) -> Page[RescuedWrite]:
    if after is not None:
        query = query.where(RescuedWrite.id < after)
    found = db.scalars(query.order_by(RescuedWrite.id.desc()).limit(limit + 1)).all()
    return cut(found, limit, lambda kept: kept.id)


def _beyond(db: Session, state: State, size: int, most_bytes: int) -> int | None:
    """How many there are when another one of this size is too much; else None."""
    counted = select(func.count(), func.coalesce(func.sum(RescuedWrite.size), 0))
    count, held = db.execute(counted.where(RescuedWrite.state_id == state.id, _UNDECIDED)).one()
    is_full = count >= MOST_UNDECIDED or held + size > most_bytes
    return int(count) if is_full else None


def _verdict(kept: RescuedWrite, current: StateVersion | None) -> Comparison:
    if current is None:
        return "never-written"
    if kept.lineage and current.lineage and kept.lineage != current.lineage:
        return "other-lineage"
    if kept.serial is None or current.serial is None:
        return "unknown"
    if kept.serial == current.serial:
        return "same-serial"
    return "newer" if kept.serial > current.serial else "older"


def _run_of(tx: Transaction) -> Run | None:
    if tx.principal.run_id is None:
        return None
    return tx.db.get(Run, tx.principal.run_id, with_for_update={"of": Run})
