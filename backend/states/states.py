"""States and their versions: bytes are sacred, numbers run 1..n, a lower serial needs force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, String, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session, undefer
from sqlalchemy.orm.attributes import set_committed_value

from backend import audit
from backend.db import execute, now
from backend.documents import intake
from backend.documents.intake import Received
from backend.errors import Conflict, Gone, NotFound
from backend.models import (
    Lock,
    Project,
    Run,
    State,
    StateVersion,
    Workspace,
    of_claim,
)
from backend.principal import Principal
from backend.sealing import bindings
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Envelope, Keyring
from backend.states import locks, refusals

# terraform marks a forced push in no other way
FORCED_OPERATIONS = {"state-push", "migration destination state"}


def at(db: Session, principal: Principal, project: str, workspace: str | None) -> State:
    """The state at an address; no workspace means the project's default one.

    Raises NotFound for an unknown address and for a stranger alike.
    """
    asked = {
        "project": project,
        "workspace": workspace,
        "only_project": principal.project_id,
        "only_state": principal.state_id,
    }
    state = None
    if "\0" not in f"{project}{workspace}":  # PostgreSQL's text cannot hold it
        state = db.scalars(_AT_DEFAULT if workspace is None else _AT, asked).one_or_none()
    if state is None or not principal.sees(state.project_id):
        raise NotFound("There is no state at this address, or it is not open to this credential.")
    return state


def _where(which: ColumnElement[bool]) -> Select[State]:
    only_project, only_state = (
        bindparam("only_project", type_=String()), bindparam("only_state", type_=String()),
    )  # fmt: skip
    project = bindparam("project", type_=String())
    return (
        select(State)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(
            or_(Project.name == project, Project.id == project),
            which,
            or_(only_project.is_(None), State.project_id == only_project),
            or_(only_state.is_(None), State.id == only_state),
        )
    )


# Made once: making a statement takes longer than executing it.
_WORKSPACE = bindparam("workspace", type_=String())
_AT = _where(or_(Workspace.name == _WORKSPACE, Workspace.id == _WORKSPACE))
_AT_DEFAULT = _where(Workspace.id == Project.default_workspace_id)
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
    envelope = Envelope(version.key_id, version.wrapped_key)
    data_key = keyring.unwrap(envelope, _binding(version))
    return intake.download(data_key, version.sealed, version.blob, blobs)


def refuse_removed(version: StateVersion) -> None:
    if version.removed_at is not None:
        raise Gone(
            f"The body of version {version.number} was removed ({version.removed_because}).",
            code="version-removed",
        )


def write(  # noqa: PLR0913 every one of them decides
    db: Session,
    principal: Principal,
    state: State,
    document: Received,
    keyring: Keyring,
    *,
    lock_id: str | None,
    refuse_unlocked: bool = False,
) -> int:
    """Store a new version and make it current: its number. The same bytes again: that of theirs.

    Raises Locked (another holds the lock), Conflict (the lock is lost, a lower serial, another
    lineage, the same serial with other bytes) and Gone. Then nothing is changed.
    """
    fence(db, principal)
    lock = locks.for_update(db, state)
    refuse_deleted(state)
    before = newest(db, state)
    locks.check_write(
        lock, principal, lock_id, before, document.sha256, refuse_unlocked=refuse_unlocked
    )
    execute(db, _SEEN, {"state": state.id})
    if before is not None and before.sha256 == document.sha256:
        return before.number
    # an ID that holds nothing any more is no better than none
    if not lock.held and (closed := refusals.of_write(db, state, document.size)):
        raise closed.as_conflict()
    operation = lock.info.get("Operation") if lock_id is not None else None
    refusal = objection(before, document)
    if refusal and operation not in FORCED_OPERATIONS:
        raise refusal
    origin = Origin(operation, lock_id, forced=refusal is not None)
    return append(db, principal, state, document, keyring, origin)


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a version: the operation of a client's lock, or one of our own."""

    operation: str | None
    lock_id: str | None = None
    forced: bool = False
    restored_from: int | None = None


def append(  # noqa: PLR0913 whose document it is, and what made it a version
    db: Session,
    principal: Principal,
    state: State,
    document: Received,
    keyring: Keyring,
    origin: Origin,
    action: str = "state.write",
) -> int:
    """Make it the newest version: its number. The caller holds the lock's row, and has decided."""
    made = state.current + 1
    version = sealed_columns(document, keyring, principal, state, made) | {
        "state_id": state.id,
        "number": made,
        "lock_id": origin.lock_id,
        "operation": origin.operation,
        "forced": origin.forced,
        "restored_from": origin.restored_from,
        "terraform_version": document.heading.terraform_version,
        "encrypted": document.heading.encrypted,
    }
    execute(db, _INSERT, version)
    execute(db, _WRITTEN, {"state_id": state.id, "number": made})
    set_committed_value(state, "current", made)
    audit.record(
        db, principal, action, state.id, project_id=state.project_id, number=made,
        serial=document.heading.serial, forced=origin.forced or None, lock_id=origin.lock_id,
        restored_from=origin.restored_from,
    )  # fmt: skip
    return made


def newest(db: Session, state: State) -> StateVersion | None:
    """The newest version without its body, of a deleted state too; None: never written."""
    asked = {"state_id": state.id, "number": state.current}
    return db.scalars(_VERSION, asked).one_or_none()


def at_rest(db: Session, state: State, size: int) -> StateVersion | None:
    """The newest version of a state that may get one of this size now, from a person's hand.

    It stays so until the transaction ends. Raises Locked with the holder, Gone, and Conflict when
    something else refuses it.
    """
    lock = locks.for_update(db, state)
    refuse_deleted(state)
    if lock.held:
        raise locks.locked(lock)
    if refusal := refusals.of_write(db, state, size):
        raise refusal.as_conflict()
    return newest(db, state)


def fence(db: Session, principal: Principal) -> None:
    """A run that lost its epoch writes nothing, however late it comes. Raises Conflict."""
    if principal.run_id is None:
        return
    claim = of_claim(principal.run_id, principal.run_epoch)
    alive = db.scalar(select(Run.id).where(claim).with_for_update(read=True))
    if alive is None:
        raise Conflict(
            "This run was taken from its worker: its write came too late.", code="fenced"
        )


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


def sealed_columns(
    document: Received, keyring: Keyring, principal: Principal, state: State, number: int | None
) -> dict[str, object]:
    """What a row keeps of a document; its data key opens for this state, number and serial only."""
    heading = document.heading
    binding = bindings.document(state.id, number, heading.lineage, heading.serial)
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
