"""A document from a person's hand, or from another backend, becomes the newest version."""

from __future__ import annotations

from sqlalchemy.orm import Session

from backend.documents.intake import Received
from backend.errors import Conflict
from backend.models import State, StateVersion
from backend.principal import Principal
from backend.sealing.keyring import Keyring
from backend.states import locks, states, trash
from backend.states.states import Origin


def add(  # noqa: PLR0913 whose document it is, and over which objection
    db: Session,
    principal: Principal,
    state: State,
    document: Received,
    keyring: Keyring,
    *,
    force: bool,
) -> StateVersion:
    """Store it as the newest version; the first one of a state is an import.

    The same bytes as the current ones make no new version. Raises Locked with the holder, Gone,
    and Conflict: for a serial that is too low or another lineage only without `force`.
    """
    newest = states.at_rest(db, state, document.size)
    if newest is not None and newest.sha256 == document.sha256:
        return newest
    objection = states.objection(newest, document)
    if objection is not None and not force:
        raise _told_what_to_do(objection)
    operation = "import" if newest is None else "upload"
    origin = Origin(operation, forced=objection is not None)
    made = states.append(db, principal, state, document, keyring, origin, f"state.{operation}")
    return states.version(db, state, made)


def begin_again(
    db: Session, principal: Principal, state: State, document: Received, keyring: Keyring
) -> StateVersion:
    """Import it into a state that was never written, or that was purged: that one lives again.

    Raises Locked with the holder, Gone while something can be restored, and Conflict.
    """
    locks.for_update(db, state)
    was_purged = trash.is_purged(db, state)
    if was_purged:
        trash.revive(db, principal, state)
        db.flush()
    newest = states.at_rest(db, state, document.size)
    if newest is not None and newest.sha256 == document.sha256 and not was_purged:
        return newest
    if newest is not None and not was_purged:
        raise Conflict(
            "This state holds something already: an import is for an empty one. Received it "
            "without `import` to follow the current version.",
            code="not-empty",
        )
    made = states.append(db, principal, state, document, keyring, Origin("import"), "state.import")
    return states.version(db, state, made)


def _told_what_to_do(objection: Conflict) -> Conflict:
    said = objection.message.replace("`state push -force` replaces", "`force` replaces")
    return Conflict(said, code=objection.code)
