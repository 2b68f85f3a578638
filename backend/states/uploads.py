"""A document from a person's hand, or from another backend, becomes the newest version."""

from __future__ import annotations

from backend.documents.intake import Incoming, Received
from backend.errors import Conflict
from backend.models import State, StateVersion
from backend.states import locks, refusals, states, trash
from backend.states.states import OBJECTIONS, Origin
from backend.transactions import Caller, Transaction


def upload(
    caller: Caller, project: str, workspace: str, document: Incoming, *, force: bool = False
) -> StateVersion:
    """Store a document as the newest version; the first one of a state is an import.

    The same bytes as the newest ones make no new version. Raises Forbidden, NotFound, Locked with
    the holder, Gone, Conflict (for a serial that is too low or another lineage only without
    `force`), and what `intake.receive` raises.
    """
    received = _received(caller, project, workspace, document)
    with caller.transaction() as tx:
        return add(tx, states.named(tx, project, workspace), received, force=force)


def import_document(
    caller: Caller, project: str, workspace: str, document: Incoming
) -> StateVersion:
    """Store a document in a state that was never written, or that was purged: it lives again.

    Raises Forbidden, NotFound, Locked with the holder, Gone while something can be restored,
    Conflict, and what `intake.receive` raises.
    """
    received = _received(caller, project, workspace, document)
    with caller.transaction() as tx:
        return begin_again(tx, states.named(tx, project, workspace), received)


def _received(caller: Caller, project: str, workspace: str, document: Incoming) -> Received:
    """The whole document. Nobody sends it in vain: who may not write it is refused before."""
    with caller.reading() as tx:
        state = states.named(tx, project, workspace)
        tx.require("state:write", state.project_id)
        limit = refusals.largest_document(tx, state)
    return document.receive(limit, caller.here.blobs)


def add(tx: Transaction, state: State, document: Received, *, force: bool) -> StateVersion:
    """`upload`, of a document that has arrived."""
    tx.require("state:write", state.project_id)
    origin = Origin("upload" if state.current else "import")
    try:
        return states.add(tx, state, document, origin, OBJECTIONS if force else ())
    except Conflict as refusal:
        if refusal.code not in OBJECTIONS:
            raise
        raise _told_what_to_do(refusal) from None


def begin_again(tx: Transaction, state: State, document: Received) -> StateVersion:
    """`import_document`, of a document that has arrived."""
    tx.require("state:write", state.project_id)
    locks.for_update(tx, state)
    if trash.is_purged(tx.db, state):
        trash.revive(tx, state)
        tx.db.flush()
        states.at_rest(tx, state, document.size)
        made = states.append(tx, state, document, Origin("import"), "state.import")
        return states.version(tx.db, state, made)
    newest = states.at_rest(tx, state, document.size)
    if newest is not None and newest.sha256 != document.sha256:
        raise Conflict(
            "This state holds something already: an import is for an empty one. Upload it "
            "without `import` to follow the current version.",
            code="not-empty",
        )
    return states.add(tx, state, document, Origin("import"))


def _told_what_to_do(objection: Conflict) -> Conflict:
    said = objection.message.replace("`state push -force` replaces", "`force` replaces")
    return Conflict(said, code=objection.code)
