"""States and their versions: bytes are sacred, numbers run 1..n, a lower serial needs force."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import String, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session, undefer
from sqlalchemy.orm.attributes import set_committed_value

from backend import audit
from backend.catalogue import projects
from backend.db import execute, now
from backend.documents import intake
from backend.documents.intake import Received
from backend.errors import Conflict, Gone, NotFound
from backend.models import (
    Lock,
    Project,
    State,
    StateVersion,
    Workspace,
)
from backend.principal import Principal
from backend.sealing import bindings, faults
from backend.sealing.blobs import Blobs
from backend.sealing.faults import Fault
from backend.sealing.keyring import Envelope, Keyring
from backend.states import fencing, locks, refusals
from backend.transactions import Transaction

# terraform marks a forced push in no other way
OBJECTIONS = ("lineage-mismatch", "serial-reused", "serial-too-low")
FORCED_OPERATIONS = {"state-push", "migration destination state"}


def named(tx: Transaction, project: str, workspace: str) -> State:
    """The state of a workspace, for whoever belongs to its project: operations ask for a scope.

    Raises NotFound, for a stranger too.
    """
    state = _find(tx, project, workspace)
    if state is None:
        found = projects.named(tx, project)
        raise NotFound(f"There is no workspace {workspace!r} in the project {found.name!r}.")
    return state


def _find(tx: Transaction, project: str, workspace: str) -> State | None:
    if "\0" in f"{project}{workspace}":  # PostgreSQL's text cannot hold it
        return None
    asked = {"project": project, "workspace": workspace, "only_project": tx.principal.project_id}
    state = tx.db.scalars(_NAMED, asked).one_or_none()
    return state if state is not None and tx.principal.sees(state.project_id) else None


_ONLY_PROJECT = bindparam("only_project", type_=String())
_PROJECT, _WORKSPACE = (bindparam(name, type_=String()) for name in ("project", "workspace"))
# Made once: making a statement takes longer than executing it.
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
    update(State).where(State.id == bindparam("state_id")).values(current=bindparam("number"))
)
_SEEN = (
    update(Lock).where(Lock.state_id == bindparam("state"), Lock.held).values(last_seen_at=now())
)


def of_workspace(db: Session, workspace: Workspace) -> State:
    return db.scalars(select(State).where(State.workspace_id == workspace.id)).one()


def create(db: Session, workspace: Workspace) -> State:
    """The empty state of a new workspace, with its lock free."""
    state = State(project_id=workspace.project_id, workspace_id=workspace.id)
    db.add(state)
    db.flush()
    db.add(Lock(state_id=state.id))
    return state


def current(db: Session, state: State) -> StateVersion | None:
    """The newest version with its sealed body, or None when it was never written. Raises Gone."""
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

    Raises Gone when they were removed, and Unreadable before the first of them, or not at all.
    """
    refuse_removed(version)
    return intake.download(_data_key(keyring, version), version.sealed, version.blob, blobs)


def fault(keyring: Keyring, version: StateVersion) -> Fault | None:
    """Why its data key does not open; None when it does, or when its body was removed.

    The body itself is not read: a list would take as long as all its documents.
    """
    if version.removed_at is not None:
        return None
    return faults.found(lambda: _data_key(keyring, version))


def _data_key(keyring: Keyring, version: StateVersion) -> bytes:
    return keyring.unwrap(Envelope(version.key_id, version.wrapped_key), _binding(version))


def refuse_removed(version: StateVersion) -> None:
    if version.removed_at is not None:
        raise Gone(
            f"The body of version {version.number} was removed ({version.removed_because}).",
            code="version-removed",
        )


def write(tx: Transaction, state: State, document: Received, lock_id: str | None) -> int:
    """Store a new version and make it current: its number. The same bytes again: that of theirs.

    Raises Locked (another holds the lock), Conflict (the lock is lost, a lower serial, another
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
    # an ID that holds nothing any more is no better than none
    if not lock.held and (closed := refusals.of_write(tx.db, state, document.size)):
        raise closed.as_conflict()
    operation = lock.info.get("Operation") if lock_id is not None else None
    refusal = objection(before, document)
    if refusal and operation not in FORCED_OPERATIONS:
        raise refusal
    return append(tx, state, document, Origin(operation, lock_id, forced=refusal is not None))


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a version: the operation of a client's lock, or one of our own."""

    operation: str | None
    lock_id: str | None = None
    forced: bool = False
    restored_from: int | None = None


def append(
    tx: Transaction, state: State, document: Received, origin: Origin, action: str = "state.write"
) -> int:
    """Make it the newest version: its number. The caller holds the lock's row, and has decided."""
    tx.require("state:write", state.project_id)
    made = state.current + 1
    version = version_columns(tx.keyring, tx.principal, document, state.id, made) | {
        "lock_id": origin.lock_id,
        "operation": origin.operation,
        "forced": origin.forced,
        "restored_from": origin.restored_from,
    }
    execute(tx.db, _INSERT, version)
    execute(tx.db, _WRITTEN, {"state_id": state.id, "number": made})
    set_committed_value(state, "current", made)
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
    """Make a document from a person's hand the newest version of a state that nobody has locked.

    The same bytes as the newest ones make no new version. What the guard for lineage and serial
    objects to is overruled, and recorded as forced, when `overruled` has its code. Raises Locked
    with the holder, Gone, and Conflict.
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
    """The newest version without its body, of a deleted state too; None: never written."""
    asked = {"state_id": state.id, "number": state.current}
    return db.scalars(_VERSION, asked).one_or_none()


def at_rest(tx: Transaction, state: State, size: int) -> StateVersion | None:
    """The newest version of a state that may get one of this size now, from a person's hand.

    It stays so until the transaction ends. Raises Locked with the holder, Gone, and Conflict when
    something else refuses it.
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
    """Why this document needs force to replace the newest one; None: it does not."""
    if newest is None:
        return None
    serial, lineage = document.heading.serial, document.heading.lineage
    if newest.lineage and lineage and newest.lineage != lineage:
        return Conflict(
            f"This state has the lineage {newest.lineage}, the document has {lineage}: "
            "it belongs to another state. `state push -force` replaces it on purpose.",
            code="lineage-mismatch",
        )
    if newest.serial is None or serial is None or serial > newest.serial:
        return None
    if serial == newest.serial:
        return Conflict(
            f"Serial {serial} is stored already, with other content: somebody else wrote it.",
            code="serial-reused",
        )
    return Conflict(
        f"The newest serial is {newest.serial}, the document has {serial}: it is older. "
        "`state push -force` replaces it on purpose.",
        code="serial-too-low",
    )


def _binding(version: StateVersion) -> bytes:
    return bindings.document(version.state_id, version.number, version.lineage, version.serial)


# what `version_columns` gives
COLUMNS = (
    *("state_id", "number", "serial", "lineage", "terraform_version", "encrypted", "size", "md5"),
    *("sha256", "run_id", "created_by", "key_id", "wrapped_key", "sealed", "blob"),
)


def version_columns(
    keyring: Keyring, principal: Principal, document: Received, state_id: str, number: int
) -> dict[str, object]:
    """What the row of a version keeps of a document and of who wrote it."""
    return sealed_columns(keyring, principal, document, state_id, number) | {
        "state_id": state_id,
        "number": number,
        "terraform_version": document.heading.terraform_version,
        "encrypted": document.heading.encrypted,
    }


def sealed_columns(
    keyring: Keyring, principal: Principal, document: Received, state_id: str, number: int | None
) -> dict[str, object]:
    """What a row keeps of a document; its data key opens for this state, number and serial only."""
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
