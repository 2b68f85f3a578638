"""Rescued writes: state documents that were refused, kept sealed until a person decides on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog
from sqlalchemy import Exists, Select, and_, exists, func, select
from sqlalchemy.orm import QueryableAttribute, Session, undefer

from backend import audit
from backend.documents import intake
from backend.documents.intake import Received
from backend.errors import Conflict, NotFound, Unreadable
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
_STORED = exists().where(
    StateVersion.state_id == RescuedWrite.state_id, StateVersion.sha256 == RescuedWrite.sha256
)
_OF_RUNS = (_UNDECIDED, RescuedWrite.run_id.is_not(None), ~_STORED)


def keep(tx: Transaction, state: State, document: Received, reason: str) -> RescuedWrite | None:
    """Keep a refused document. `reason` is the code of the refusal.

    The same bytes are kept once. Returns None, and keeps nothing, when the rescued writes of the
    state are too many or too large already: terraform has this document in errored.tfstate too.
    """
    tx.require_any((RESCUE, "state:write"), state.project_id)
    db = tx.db
    run = _run_of(tx)  # locked before the lock's row, as everywhere, to avoid deadlocks
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
    if run is not None:
        warning = f"a state that it wrote was refused ({reason}) and kept: {kept.id}"
        run.warnings = [*run.warnings, warning]
        if run.status == "lost":
            run.error_message = f"{run.error_message} {late(kept.id)}"
    audit.record(
        tx, "state.rescue", state.id, project_id=state.project_id,
        rescued=kept.id, reason=reason,
    )  # fmt: skip
    return kept


def late(*rescued_ids: str) -> str:
    """What people should know of the rescued writes of a lost run."""
    return (
        f"A state that it wrote was refused, and is kept as the rescued write "
        f"{' and '.join(rescued_ids)}: promote or dismiss it first."
    )


def find_all(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RescuedWrite]:
    """All rescued writes, newest first, without their bodies. The cursor is the id of one."""
    tx.require("state:read", state.project_id)
    return _page(tx.db, _of(state), after, limit)


def find_undecided(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[RescuedWrite]:
    """The rescued writes that wait for a decision, as `find_all` returns them."""
    tx.require("state:read", state.project_id)
    return _page(tx.db, _of(state).where(_UNDECIDED), after, limit)


def undecided(db: Session, state: State) -> int:
    """How many rescued writes wait for a decision."""
    counted = select(func.count()).where(RescuedWrite.state_id == state.id, _UNDECIDED)
    return db.scalar(counted) or 0


def of_runs(workspace_id: QueryableAttribute[str]) -> Exists:
    """The condition that a run of this workspace has left a rescued write that is undecided.

    What is a version too does not count: nothing is in the rescued write alone.
    """
    return exists().where(
        State.workspace_id == workspace_id, RescuedWrite.state_id == State.id, *_OF_RUNS
    )


def first_of_runs(workspace_id: str) -> Select[str]:
    """The id of the oldest one that a run of this workspace has left, and that is in no version."""
    return (
        select(RescuedWrite.id)
        .join(State, State.id == RescuedWrite.state_id)
        .where(State.workspace_id == workspace_id, *_OF_RUNS)
        .order_by(RescuedWrite.id)
        .limit(1)
    )


def find_of_runs(db: Session, state: State) -> Sequence[RescuedWrite]:
    """The rescued writes that runs have left, and that are in no version, oldest first."""
    return db.scalars(_of(state).where(*_OF_RUNS).order_by(RescuedWrite.id)).all()


def named(db: Session, state: State, rescued_id: str) -> RescuedWrite:
    """A refused document with its body. Raises NotFound."""
    asked = _of(state).where(RescuedWrite.id == rescued_id).options(undefer(RescuedWrite.sealed))
    kept = db.scalars(asked).one_or_none()
    if kept is None:
        raise _missing(rescued_id)
    return kept


def _missing(rescued_id: str) -> NotFound:
    return NotFound(f"There is no rescued write {rescued_id} of this state.")


@dataclass(frozen=True, slots=True)
class Compared:
    """A rescued write compared with the current version.

    `equals` is the number of a version with the same bytes, if there is one.
    """

    kept: RescuedWrite
    comparison: Comparison
    equals: int | None
    current: StateVersion | None


def beside(db: Session, state: State, rescued_id: str) -> tuple[RescuedWrite, StateVersion | None]:
    """A rescued write and the newest version, both with their bodies. Raises NotFound."""
    newest = and_(StateVersion.state_id == state.id, StateVersion.number == state.current)
    asked = (
        select(RescuedWrite, StateVersion)
        .outerjoin(StateVersion, newest)
        .where(RescuedWrite.state_id == state.id, RescuedWrite.id == rescued_id)
        .options(undefer(RescuedWrite.sealed), undefer(StateVersion.sealed))
    )
    found = db.execute(asked).one_or_none()
    if found is None:
        raise _missing(rescued_id)
    return found[0], found[1]


def get(tx: Transaction, state: State, rescued_id: str) -> Compared:
    """A rescued write, compared with the current version. Raises NotFound."""
    tx.require("state:read", state.project_id)
    db = tx.db
    kept, current = beside(db, state, rescued_id)
    equals = None
    if kept.sha256 is not None:
        equals = db.scalar(
            select(func.max(StateVersion.number)).where(
                StateVersion.state_id == state.id,
                StateVersion.sha256 == kept.sha256,
                StateVersion.removed_at.is_(None),  # a removed version has no bytes any more
            )
        )
    return Compared(kept, "stored" if equals else _comparison(kept, current), equals, current)


def download(tx: Transaction, state: State, rescued_id: str) -> RescuedWrite:
    """A rescued write with its body, for a person. Audited. Raises NotFound and Conflict."""
    tx.require("state:read", state.project_id)
    kept = named(tx.db, state, rescued_id)
    refuse_decided(kept)
    audit.record(
        tx, "state.rescued_download", state.id, project_id=state.project_id, rescued=kept.id
    )
    return kept


def dismiss(tx: Transaction, state: State, rescued_id: str) -> RescuedWrite:
    """Remove the body of a rescued write. Raises NotFound, and Conflict if already decided."""
    tx.require("state:write", state.project_id)
    locks.for_update(tx, state)
    kept = named(tx.db, state, rescued_id)
    refuse_decided(kept)
    decide(tx, state, kept, "dismissed")
    audit.record(tx, "state.dismiss", state.id, project_id=state.project_id, rescued=kept.id)
    return kept


def decide(
    tx: Transaction,
    state: State,
    kept: RescuedWrite,
    decision: Literal["promoted", "dismissed"],
    promoted_to: int | None = None,
) -> RescuedWrite:
    """Store the decision and remove the body; the row stays. The caller holds the lock's row."""
    tx.require("state:write", state.project_id)
    kept.promoted_to = promoted_to
    retention.decide(tx.db, kept, decision, tx.principal.name)
    return kept


def refuse_decided(kept: RescuedWrite) -> None:
    if kept.decision is not None:
        raise Conflict(
            f"{kept.decided_by} {kept.decision} this rescued write already.",
            code="rescued-decided",
            decision=kept.decision,
            promoted_to=kept.promoted_to,
        )


def content(kept: RescuedWrite, keyring: Keyring, blobs: Blobs) -> Iterator[bytes]:
    """The bytes as they arrived. Raises Unreadable before the first one.

    Two rescued writes may have the same serial, and thus the same binding. So the content is
    compared with its hash, which the proof of the row covers.
    """
    data_key = _data_key(keyring, kept)
    sha256 = hashlib.sha256()
    for piece in intake.download(data_key, kept.sealed, kept.blob, blobs):
        sha256.update(piece)
    if kept.sha256 not in {None, sha256.digest()}:
        raise Unreadable("The content differs from the hash in its row.")
    return intake.download(data_key, kept.sealed, kept.blob, blobs)


def fault(keyring: Keyring, kept: RescuedWrite) -> Fault | None:
    """Why its data key cannot be opened, or None if it can, or if the write is decided."""
    if kept.decision is not None:
        return None
    return faults.found(lambda: _data_key(keyring, kept))


def _data_key(keyring: Keyring, kept: RescuedWrite) -> bytes:
    keyring.proofs.check(kept)
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
    """How many are kept, if there is no room for another one of this size; else None."""
    counted = select(func.count(), func.coalesce(func.sum(RescuedWrite.size), 0))
    count, held = db.execute(counted.where(RescuedWrite.state_id == state.id, _UNDECIDED)).one()
    is_full = count >= MOST_UNDECIDED or held + size > most_bytes
    return int(count) if is_full else None


def _comparison(kept: RescuedWrite, current: StateVersion | None) -> Comparison:
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
