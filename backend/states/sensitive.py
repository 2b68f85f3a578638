"""The secrets that a workspace's own state knows."""

from __future__ import annotations

from sqlalchemy.orm import Session

from backend.documents import marked
from backend.models import State
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Keyring
from backend.states import states

LARGEST = 8 << 20  # bytes of a state that is read for them


def known(db: Session, state: State, keyring: Keyring, blobs: Blobs) -> frozenset[str]:
    """What the newest version marks as sensitive, if it can be read quickly. Raises Unreadable."""
    if state.current == 0 or state.deleted_at is not None:
        return frozenset()
    newest = states.version(db, state, state.current)
    if newest.encrypted or newest.removed_at is not None or newest.size > LARGEST:
        return frozenset()
    return marked.values(b"".join(states.content(newest, keyring, blobs)))
