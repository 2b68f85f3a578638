"""The outputs in a state document, for people who may read outputs but not the state.

Those of a small document are read from it. Those of a large one were sealed beside it when it was
written; a version of before is read through once, when somebody first asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.documents import intake
from backend.documents import outputs as document
from backend.documents.outputs import LARGEST, MOST, Output
from backend.errors import Conflict
from backend.express import Statement
from backend.models import StateVersion
from backend.offload import Room, off_loop
from backend.states import states
from backend.transactions import Caller

READING = Room(1, seconds=20.0, refusal="A large state is being read. Try again.")

_KEEP = Statement(
    update(StateVersion)
    .where(StateVersion.id == bindparam("version"), StateVersion.removed_at.is_(None))
    .where(StateVersion.outputs.is_(None))
    .values(outputs=bindparam("found"))
)


@dataclass(frozen=True)
class Found:
    """The outputs of a version; its number is None when the state was never written."""

    version: int | None
    outputs: dict[str, Output]


def read(caller: Caller, project: str, workspace: str, *, show_sensitive: bool) -> Found:
    """The outputs in the newest version. Values of sensitive ones only with `show_sensitive`.

    `show_sensitive` also needs state:read, and is audited. Raises NotFound, Forbidden, Gone,
    Conflict when they are too large, or when OpenTofu encrypted the state itself, Unreadable, and
    Unavailable when other large states are being read.
    """
    with caller.transaction() if show_sensitive else caller.reading() as tx:
        state = states.named(tx, project, workspace)
        tx.require("outputs:read", state.project_id)
        if show_sensitive:
            tx.require("state:read", state.project_id)
            audit.record(tx, "outputs.reveal", state.id, project_id=state.project_id)
        version = states.current(tx.db, state)
        kept = None if version is None else _kept(tx.db, version)
    if version is None:
        return Found(None, {})
    if version.encrypted:
        raise Conflict(
            "OpenTofu encrypted this state itself: only its own passphrase opens the outputs.",
            code="state-encrypted",
        )
    text = _text(caller, version, kept)
    found = None if text is None else off_loop(document.decode, text)
    if found is None or len(found) > MOST:
        raise _too_large(version)
    if not show_sensitive:
        found = {name: output.masked() for name, output in found.items()}
    return Found(version.number, found)


def _text(caller: Caller, version: StateVersion, kept: bytes | None) -> bytes | None:
    """The outputs as they are written; None if they are not to be shown."""
    here = caller.here
    states.refuse_removed(version)
    if version.blob is None:
        content = states.content(version, here.keyring, here.blobs)
        return off_loop(lambda: document.in_document(b"".join(content)))
    if kept is None:
        kept = _read_through(caller, version)
    return intake.open_outputs(states.data_key(here.keyring, version), kept)


def _read_through(caller: Caller, version: StateVersion) -> bytes:
    """The sealed outputs of a large document, which are kept beside it from now on."""
    here = caller.here
    with READING.enter():
        with caller.reading() as tx:  # somebody else may have asked meanwhile
            kept = _kept(tx.db, version)
        if kept is None:
            text = intake.read_outputs(states.content(version, here.keyring, here.blobs))
            kept = intake.seal_outputs(states.data_key(here.keyring, version), text)
            here.database.change(_KEEP, {"version": version.id, "found": kept})
    return kept


def _kept(db: Session, version: StateVersion) -> bytes | None:
    return db.scalar(select(StateVersion.outputs).where(StateVersion.id == version.id))


def _too_large(version: StateVersion) -> Conflict:
    return Conflict(
        f"Version {version.number} has more than {MOST:,} outputs, or they have more than "
        f"{LARGEST:,} bytes, or a number of thousands of digits. Read them with "
        "`terraform output`, or from the whole state.",
        code="outputs-too-large",
        limit_bytes=LARGEST,
    )
