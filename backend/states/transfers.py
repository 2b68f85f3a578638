"""Taking in states from other backends, and telling runs where a state is.

A fork is a second state of the same resources, in another backend. A run uses this module to
refuse to begin one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.documents.intake import Received
from backend.errors import Conflict
from backend.models import TRANSFERS, Run, State, StateVersion, Workspace
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Keyring
from backend.states import fencing, states
from backend.states.states import Origin
from backend.transactions import Transaction

# never written; no resources or outputs left; some left; moved to another backend
Standing = Literal["unwritten", "empty", "in use", "archived"]

_LARGEST_EMPTY = 16 * 1024  # bytes: a state without resources has a few hundred
_DONE = ("applied", "planned_and_finished")


class _Document(msgspec.Struct):
    resources: list[msgspec.Raw] | None = None
    outputs: dict[str, msgspec.Raw] | None = None


def take_in(tx: Transaction, state: State, document: Received) -> StateVersion:
    """Store a state from another backend as the newest version. Repeating it is harmless.

    Raises Locked, Gone, and Conflict when ours has another lineage, is not older, or is closed.
    """
    fencing.fence(tx)
    tx.require("state:write", state.project_id)
    newest = states.at_rest(tx, state, document.size)
    if newest is None or newest.sha256 != document.sha256:
        _refuse_unknown(newest, document)
    return states.add(tx, state, document, Origin("import"))


def standing(db: Session, state: State, keyring: Keyring, blobs: Blobs) -> Standing:
    """Whether our state has content, or was moved. Raises Unreadable."""
    if state.archived_at is not None:
        return "archived"
    if state.current == 0:
        return "unwritten"
    newest = states.version(db, state, state.current)
    if state.deleted_at is not None or newest.removed_at is not None:
        return "empty"
    if newest.encrypted or newest.size > _LARGEST_EMPTY:
        return "in use"
    return "in use" if _holds_something(newest, keyring, blobs) else "empty"


def elsewhere(db: Session, workspace: Workspace) -> str | None:
    """The verdict (the detected backend) of the last run that used the backend of its sources.

    None when there was no such run, or when it was a destroy of everything.
    """
    last = db.execute(
        select(Run.operation, Run.targets, Run.detection["verdict"].as_string())
        .where(
            Run.workspace_id == workspace.id,
            Run.status.in_(_DONE),
            Run.operation.not_in(TRANSFERS),
            Run.detection["inject"].as_boolean().is_(False),
            Run.detection["verdict"].as_string() != "none",
        )
        .order_by(Run.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None or (last.operation == "destroy" and not last.targets):
        return None
    return str(last[2])


def _refuse_unknown(newest: StateVersion | None, document: Received) -> None:
    """Refuse to replace a state with a document that has no lineage and serial. Raises Conflict."""
    heading = document.heading
    if newest is not None and not (heading.lineage and heading.serial is not None):
        raise Conflict("The document has no lineage and no serial.", code="lineage-mismatch")


def _holds_something(version: StateVersion, keyring: Keyring, blobs: Blobs) -> bool:
    body: Any = b"".join(states.content(version, keyring, blobs))
    try:
        document = msgspec.json.decode(body, type=_Document)
    except msgspec.ValidationError:
        return True
    return bool(document.resources or document.outputs)
