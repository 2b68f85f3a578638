"""State documents that were refused: kept sealed, so that nothing is lost and a person decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from backend import audit, states, upload
from backend.blobs import Blobs
from backend.crypto import bind
from backend.errors import NotFound
from backend.keyring import Envelope, Keyring
from backend.models import RescuedWrite, State
from backend.principal import Principal
from backend.upload import Upload


def keep(  # noqa: PLR0913 what is kept, whose, and why
    db: Session,
    principal: Principal,
    state: State,
    document: Upload,
    keyring: Keyring,
    *,
    reason: str,
) -> RescuedWrite:
    """Keep a refused document. `reason` is the code of the refusal."""
    kept = RescuedWrite(
        state_id=state.id,
        reason=reason,
        **states.sealed_columns(document, keyring, principal, state, None),
    )
    db.add(kept)
    db.flush()
    audit.record(
        db, principal, "state.rescue", state.id, project_id=state.project_id,
        rescued=kept.id, reason=reason,
    )  # fmt: skip
    return kept


def find_all(db: Session, state: State) -> Sequence[RescuedWrite]:
    """Newest first, without their bodies."""
    return db.scalars(
        select(RescuedWrite)
        .where(RescuedWrite.state_id == state.id)
        .order_by(RescuedWrite.id.desc())
    ).all()


def download(db: Session, principal: Principal, state: State, rescued_id: str) -> RescuedWrite:
    """A refused document with its body, for a person: audited. Raises NotFound."""
    kept = db.scalars(
        select(RescuedWrite)
        .where(RescuedWrite.state_id == state.id, RescuedWrite.id == rescued_id)
        .options(undefer(RescuedWrite.sealed))
    ).one_or_none()
    if kept is None:
        raise NotFound(f"There is no rescued write {rescued_id} of this state.")
    audit.record(
        db, principal, "state.rescued_download", state.id, project_id=state.project_id,
        rescued=kept.id,
    )  # fmt: skip
    return kept


def content(kept: RescuedWrite, keyring: Keyring, blobs: Blobs) -> Iterator[bytes]:
    """The refused bytes, as they arrived. Raises Unreadable before the first of them."""
    binding = bind("state", kept.state_id, None, kept.lineage, kept.serial)
    data_key = keyring.unwrap(Envelope(kept.key_id, kept.wrapped_key), binding)
    return upload.download(data_key, kept.sealed, kept.blob, blobs)
