"""States and their versions.

A version keeps the bytes exactly as they were written. Versions are numbered 1 to n without gaps.
A document with a lower serial, or another lineage, is only stored when the client forces it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import String, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased, undefer
from sqlalchemy.orm.attributes import set_committed_value

from backend import audit
from backend.catalogue import projects
from backend.db import execute, now
from backend.documents import intake
from backend.documents.intake import Received
from backend.errors import Conflict, Gone, NotFound, Unreadable
from backend.models import (
    Lock,
    Project,
    State,
    StateVersion,
    Workspace,
)
from backend.principal import Principal
from backend.sealing import bindings, faults, proven
from backend.sealing.blobs import Blobs
from backend.sealing.faults import Fault
from backend.sealing.keyring import Envelope, Keyring
from backend.sealing.proofs import ROW_CHANGED, Proofs, Values, changed, covered, reader
from backend.states import fencing, locks, refusals
from backend.transactions import Transaction

# terraform does not mark a forced push: the operation of its lock is all that can be seen of it
OBJECTIONS = ("lineage-mismatch", "serial-reused", "serial-too-low")
FORCED_OPERATIONS = {"state-push", "migration destination state"}


def named(tx: Transaction, project: str, workspace: str) -> State:
    """The state of a workspace. Raises NotFound, also for who does not belong to the project.

    It requires no scope: the operation that works with the state does.
    """
    state = _find(tx, project, workspace)
    if state is None:
        found = projects.named(tx, project)
        raise NotFound(f"There is no workspace {workspace!r} in the project {found.name!r}.")
    return state


def _find(tx: Transaction, project: str, workspace: str) -> State | None:
    if "\0" in f"{project}{workspace}":  # PostgreSQL refuses a NUL in text
        return None
    asked = {"project": project, "workspace": workspace, "only_project": tx.principal.project_id}
    state = tx.db.scalars(_NAMED, asked).one_or_none()
    if state is None or not tx.principal.sees(state.project_id):
        return None
    check(tx.db, state)
    return state


_ONLY_PROJECT = bindparam("only_project", type_=String())
_PROJECT, _WORKSPACE = (bindparam(name, type_=String()) for name in ("project", "workspace"))
# Built once, at import: building a statement takes longer than executing it.
_NAMED = (
    select(State)
    .join(Workspace, Workspace.id == State.workspace_id)
    .join(Project, Project.id == State.project_id)
    .where(
        or_(Project.name == _PROJECT, Project.id == _PROJECT),
        or_(Workspace.name == _WORKSPACE, Workspace.id == _WORKSPACE),
        or_(_ONLY_PROJECT.is_(None), State.project_id == _ONLY_PROJECT),
    )
)
_VERSION = select(StateVersion).where(
    StateVersion.state_id == bindparam("state_id"), StateVersion.number == bindparam("number")
)
_VERSION_WITH_BODY = _VERSION.options(undefer(StateVersion.sealed))
_INSERT = insert(StateVersion)
_WRITTEN = (
    update(State)
    .where(State.id == bindparam("state_id"))
    .values(current=bindparam("number"), proof=bindparam("state_proof"))
)
# the number of the newest version: `current` says the same, unless somebody changed it
_other = aliased(StateVersion)
LAST = (
    select(func.max(_other.number))
    .where(_other.state_id == State.id)
    .correlate(State)
    .scalar_subquery()
)
_LAST = select(LAST).where(State.id == bindparam("state_id"))
_ROW = reader(State, id="state_id", revision="state_revision")
_SEEN = (
    update(Lock).where(Lock.state_id == bindparam("state"), Lock.held).values(last_seen_at=now())
)


def check(db: Session, state: State) -> None:
    """Raise Unreadable when somebody changed the row, or put an older one back."""
    proven.check(db, state)
    last = last_number(db, state.id)
    if last != state.current:
        raise _moved_back(state.id, state.current, last)


def last_number(db: Session, state_id: str) -> int:
    """The number of the newest version that there is, or 0."""
    return execute(db, _LAST, {"state_id": state_id}).scalar() or 0


def check_row(proofs: Proofs, row: Any) -> None:
    """The same for the row of an arrival."""
    if not proofs.fits(State, _ROW(row), row.state_proof):
        raise changed(State, row.state_id)
    if (row.last or 0) != row.current:
        raise _moved_back(row.state_id, row.current, row.last or 0)


def row_proof(proofs: Proofs, row: Any, number: int) -> bytes | None:
    """The proof of an arrival's state when this is the number of its newest version."""
    return proof_with(proofs, _ROW(row), number)


def proof_with(proofs: Proofs, values: Values, number: int) -> bytes | None:
    place = covered(State).index("current")
    return proofs.of(State, (*values[:place], number, *values[place + 1 :]))


def _moved_back(state_id: str, current: int, last: int) -> Unreadable:
    return Unreadable(
        f"The row of the state {state_id} says that version {current} is the newest, but there is "
        f"a version {last}: somebody put an older row back, or removed versions. Nothing is done "
        "with it until the operator puts the row right.",
        code=ROW_CHANGED,
        table="states",
        id=state_id,
    )


def of_workspace(db: Session, workspace: Workspace) -> State:
    return db.scalars(select(State).where(State.workspace_id == workspace.id)).one()


def create(db: Session, workspace: Workspace) -> State:
    """Create the empty, unlocked state of a new workspace."""
    state = State(project_id=workspace.project_id, workspace_id=workspace.id)
    db.add(state)
    db.flush()
    db.add(Lock(state_id=state.id))
    return state


def current(db: Session, state: State) -> StateVersion | None:
    """The newest version with its sealed body, or None if there is none yet. Raises Gone."""
    refuse_deleted(state)
    if state.current == 0:
        return None
    return version(db, state, state.current)


def refuse_deleted(state: State) -> None:
    """Raises Gone."""
    if state.deleted_at is not None:
        raise Gone("This state was deleted. A person can restore it.", code="state-deleted")


def version(db: Session, state: State, number: int) -> StateVersion:
    asked = {"state_id": state.id, "number": number}
    found = db.scalars(_VERSION_WITH_BODY, asked).one_or_none()
    if found is None:
        raise NotFound(f"There is no version {number} of this state.")
    return found


def content(version: StateVersion, keyring: Keyring, blobs: Blobs) -> Iterator[bytes]:
    """The bytes as they were written.

    Raises Gone when they were removed, and Unreadable. Both are raised before the first byte.
    """
    refuse_removed(version)
    return intake.download(data_key(keyring, version), version.sealed, version.blob, blobs)


def fault(keyring: Keyring, version: StateVersion) -> Fault | None:
    """Why its data key does not open; None when it does, or when its body was removed.

    The body itself is not read: a list would take as long as all its documents.
    """
    if version.removed_at is not None:
        return None
    return faults.found(lambda: data_key(keyring, version))


def data_key(keyring: Keyring, version: StateVersion) -> bytes:
    """The key of the body of a version. Raises Unreadable."""
    return keyring.unwrap(Envelope(version.key_id, version.wrapped_key), _binding(version))


def refuse_removed(version: StateVersion) -> None:
    if version.removed_at is not None:
        raise Gone(
            f"The body of version {version.number} was removed ({version.removed_because}).",
            code="version-removed",
        )


def write(tx: Transaction, state: State, document: Received, lock_id: str | None) -> int:
    """Store the document as the newest version and return the number of that version.

    If the newest version has the same bytes already, return its number and store nothing. Raises
    Locked (somebody else holds the lock), Conflict (the lock is lost, a lower serial, another
    lineage, the same serial with other bytes) and Gone. Then nothing is changed.
    """
    fencing.fence(tx)
    tx.require("state:write", state.project_id)
    lock = locks.for_update(tx, state)
    refuse_deleted(state)
    before = newest(tx.db, state)
    locks.check_write(tx, lock, lock_id, before, document.sha256)
    execute(tx.db, _SEEN, {"state": state.id})
    if before is not None and before.sha256 == document.sha256:
        return before.number
    # the ID of a lock that was released gives no more rights than no ID
    if not lock.held and (closed := refusals.of_write(tx.db, state, document.size)):
        raise closed.as_conflict()
    operation = lock.info.get("Operation") if lock_id is not None else None
    refusal = objection(before, document)
    if refusal and operation not in FORCED_OPERATIONS:
        raise refusal
    return append(tx, state, document, Origin(operation, lock_id, forced=refusal is not None))


@dataclass(frozen=True, slots=True)
class Origin:
    """How a version came about: the operation that the client's lock names, or one of our own."""

    operation: str | None
    lock_id: str | None = None
    forced: bool = False
    restored_from: int | None = None


def append(
    tx: Transaction, state: State, document: Received, origin: Origin, action: str = "state.write"
) -> int:
    """Store the document as the newest version and return its number, without further checks.

    The caller must hold the row of the lock, and have decided that the write is allowed.
    """
    tx.require("state:write", state.project_id)
    made = state.current + 1
    version = version_columns(tx.keyring, tx.principal, document, state.id, made) | {
        "lock_id": origin.lock_id,
        "operation": origin.operation,
        "forced": origin.forced,
        "restored_from": origin.restored_from,
    }
    execute(tx.db, _INSERT, version)
    tx.db.flush()  # what else is changed of the state is in the proof too
    proof = proof_with(tx.keyring.proofs, reader(State)(state), made)
    execute(tx.db, _WRITTEN, {"state_id": state.id, "number": made, "state_proof": proof})
    set_committed_value(state, "current", made)
    set_committed_value(state, "proof", proof)
    audit.record(
        tx, action, state.id, project_id=state.project_id, number=made,
        serial=document.heading.serial, forced=origin.forced or None, lock_id=origin.lock_id,
        restored_from=origin.restored_from,
    )  # fmt: skip
    return made


def add(
    tx: Transaction,
    state: State,
    document: Received,
    origin: Origin,
    overruled: Collection[str] = (),
) -> StateVersion:
    """Store a document that a person gave as the newest version of a state that is not locked.

    If the newest version has the same bytes already, return it and store nothing. `overruled` has
    the codes of the objections to lineage and serial that are ignored: the version is then
    recorded as forced. Raises Locked with the holder, Gone, and Conflict.
    """
    before = at_rest(tx, state, document.size)
    if before is not None and before.sha256 == document.sha256:
        return before
    refusal = objection(before, document)
    if refusal is not None and refusal.code not in overruled:
        raise refusal
    origin = replace(origin, forced=refusal is not None)
    made = append(tx, state, document, origin, f"state.{origin.operation}")
    return version(tx.db, state, made)


def newest(db: Session, state: State) -> StateVersion | None:
    """The newest version without its body, also of a deleted state; None if there is none yet."""
    asked = {"state_id": state.id, "number": state.current}
    return db.scalars(_VERSION, asked).one_or_none()


def at_rest(tx: Transaction, state: State, size: int) -> StateVersion | None:
    """The newest version of a state that is at rest: a person may now write to it.

    At rest means that nobody has locked the state and nothing else refuses a document of this size
    (bytes). No client can lock it until the transaction ends. Raises Locked with the holder, Gone,
    and Conflict for any other reason to refuse the document.
    """
    tx.require("state:write", state.project_id)
    lock = locks.for_update(tx, state)
    refuse_deleted(state)
    if lock.held:
        raise locks.locked(lock)
    if refusal := refusals.of_write(tx.db, state, size):
        raise refusal.as_conflict()
    return newest(tx.db, state)


def objection(newest: StateVersion | None, document: Received) -> Conflict | None:
    """Why the document may replace the newest version only by force, or None if it may."""
    if newest is None:
        return None
    serial, lineage = document.heading.serial, document.heading.lineage
    if newest.lineage and lineage and newest.lineage != lineage:
        return Conflict(
            f"This state has the lineage {newest.lineage}, but the document has {lineage}: "
            "it belongs to another state. `state push -force` replaces the state anyway.",
            code="lineage-mismatch",
        )
    if newest.serial is None or serial is None or serial > newest.serial:
        return None
    if serial == newest.serial:
        return Conflict(
            f"Serial {serial} is already stored with different content: somebody else wrote it.",
            code="serial-reused",
        )
    return Conflict(
        f"The document is older than the state: its serial is {serial}, and the newest is "
        f"{newest.serial}. `state push -force` replaces the state anyway.",
        code="serial-too-low",
    )


def _binding(version: StateVersion) -> bytes:
    return bindings.document(version.state_id, version.number, version.lineage, version.serial)


# the columns that `version_columns` fills
COLUMNS = (
    *("state_id", "number", "serial", "lineage", "terraform_version", "encrypted", "size", "md5"),
    *("sha256", "run_id", "created_by", "key_id", "wrapped_key", "sealed", "blob", "outputs"),
)


def version_columns(
    keyring: Keyring, principal: Principal, document: Received, state_id: str, number: int
) -> dict[str, object]:
    """The columns of a version's row that describe the document and who wrote it."""
    return sealed_columns(keyring, principal, document, state_id, number) | {
        "state_id": state_id,
        "number": number,
        "terraform_version": document.heading.terraform_version,
        "encrypted": document.heading.encrypted,
        "outputs": document.outputs,
    }


def sealed_columns(
    keyring: Keyring, principal: Principal, document: Received, state_id: str, number: int | None
) -> dict[str, object]:
    """The columns that describe a document, in a version's row or a rescued write's.

    The data key is bound to this state, number, lineage and serial: in another row it does not
    open.
    """
    heading = document.heading
    binding = bindings.document(state_id, number, heading.lineage, heading.serial)
    envelope = keyring.wrap(document.data_key, binding)
    return {
        "serial": heading.serial,
        "lineage": heading.lineage,
        "size": document.size,
        "md5": document.md5,
        "sha256": document.sha256,
        "run_id": principal.run_id,
        "created_by": principal.name,
        "key_id": envelope.key_id,
        "wrapped_key": envelope.wrapped_key,
        "sealed": document.ciphertext,
        "blob": document.blob,
    }
