"""Upload a document as the newest version, or import one from another backend."""

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
    """Store a document as the newest version. The first one of a state is recorded as an import.

    If the newest version has the same bytes already, return it. `force` allows a lower serial and
    another lineage. Raises Forbidden, NotFound, Locked with the holder, Gone, Conflict, and what
    `intake.receive` raises.
    """
    received = _received(caller, project, workspace, document)
    with caller.transaction() as tx:
        return add(tx, states.named(tx, project, workspace), received, force=force)


def import_document(
    caller: Caller, project: str, workspace: str, document: Incoming
) -> StateVersion:
    """Store a document in a state that was never written, or that was purged.

    Raises Forbidden, NotFound, Locked with the holder, Gone for a deleted state that can still be
    restored, Conflict, and what `intake.receive` raises.
    """
    received = _received(caller, project, workspace, document)
    with caller.transaction() as tx:
        return begin_again(tx, states.named(tx, project, workspace), received)


def _received(caller: Caller, project: str, workspace: str, document: Incoming) -> Received:
    """Receive the document. Who may not write it is refused before sending the body."""
    with caller.reading() as tx:
        state = states.named(tx, project, workspace)
        tx.require("state:write", state.project_id)
        limit = refusals.largest_document(tx, state)
    return document.receive(limit, caller.here.blobs)


def add(tx: Transaction, state: State, document: Received, *, force: bool) -> StateVersion:
    """The same as `upload`, for a document that is received already."""
    tx.require("state:write", state.project_id)
    origin = Origin("upload" if state.current else "import")
    try:
        return states.add(tx, state, document, origin, OBJECTIONS if force else ())
    except Conflict as refusal:
        if refusal.code not in OBJECTIONS:
            raise
        raise _told_what_to_do(refusal) from None


def begin_again(tx: Transaction, state: State, document: Received) -> StateVersion:
    """The same as `import_document`, for a document that is received already."""
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
            "This state has versions already, and an import needs an empty one. To store the "
            "document after the current version, upload it without `import`.",
            code="not-empty",
        )
    return states.add(tx, state, document, Origin("import"))


def _told_what_to_do(objection: Conflict) -> Conflict:
    said = objection.message.replace("`state push -force` replaces", "`force` replaces")
    return Conflict(said, code=objection.code)
