"""Why a state takes no new lock: frozen, deleted, moved away, or over a quota or limit.

Of a refused LOCK terraform shows only the ID of the holder, so the code of the refusal is sent as
that ID.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, case, func, select
from sqlalchemy.orm import Session, aliased

from backend.config import Settings
from backend.db import execute
from backend.errors import Conflict, Locked
from backend.models import Project, State, StateVersion, Workspace
from backend.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is stable and readable; `info` is a sentence with the cause and what helps."""

    code: str
    info: str

    def as_lock(self) -> Locked:
        """As the holder of a lock: the clients of the protocol show nothing else."""
        return Locked(self.info, {"ID": self.code, "Info": self.info}, code=self.code)

    def as_conflict(self) -> Conflict:
        return Conflict(self.info, code=self.code)


def of(db: Session, state: State) -> Refusal | None:
    """Why nobody may lock this state now, or None.

    The answer stays true while the caller holds the row of the lock: freezing and deleting need it.
    """
    return against_a_lock(_facts(db, state))


def against_a_lock(facts: Any) -> Refusal | None:
    """The same as `of`, from a row of FACTS."""
    return _closed(facts) or _size(facts, facts.size) or _full(facts)


def of_write(db: Session, state: State, size: int) -> Refusal | None:
    """Why a client without a lock may not write a document of this size (bytes), or None.

    It does not apply to the holder of the lock, whose changes are applied already and would be
    lost. Only the size of the new document counts, so that a smaller one can replace one that is
    too large.
    """
    facts = _facts(db, state)
    return _closed(facts) or _size(facts, size) or _full(facts)


def of_another_state(db: Session, project: Project) -> Refusal | None:
    """Why the project may not have another state, or None. Concurrent callers wait in turn."""
    if project.max_states is None:
        return None
    db.refresh(project, with_for_update={"of": Project, "key_share": True})
    held = db.scalar(select(func.count()).where(Workspace.project_id == project.id)) or 0
    limit = project.max_states
    return None if limit is None or held < limit else _too_many_states(project.name, held, limit)


def largest_document(tx: Transaction, state: State) -> int:
    """How large a version of this state may be, in bytes."""
    quota = execute(tx.db, _MAX_STATE_BYTES, {"project_id": state.project_id}).scalar()
    return largest(quota, tx.settings)


def largest(quota: int | None, settings: Settings) -> int:
    """How large a version may be, in bytes, by the quota of its project and the server's limit."""
    limit = settings.max_state_bytes
    return limit if quota is None else min(limit, quota)


def frozen(workspace: Workspace) -> Refusal | None:
    """Why nothing may run in this workspace, or be deleted from it, or None."""
    if workspace.frozen_at is None:
        return None
    return _frozen(workspace.frozen_at, workspace.frozen_by, workspace.frozen_reason)


def _counted(limit: Any, what: Select[Any]) -> Any:
    """Count only if the project has a quota for it: every LOCK asks this."""
    return case((limit.is_not(None), what.scalar_subquery()))


def _statement() -> Select[*tuple[Any, ...]]:
    version, workspace = aliased(StateVersion), aliased(Workspace)
    size = select(version.size).where(version.state_id == State.id, version.number == State.current)
    pinned = select(func.count()).where(
        version.state_id == State.id, version.pinned, version.removed_at.is_(None)
    )
    states = select(func.count()).where(workspace.project_id == State.project_id)
    return (
        select(
            State.deleted_at,
            State.archived_at,
            State.archived_to,
            State.history_bytes,
            Workspace.frozen_at,
            Workspace.frozen_by,
            Workspace.frozen_reason,
            Project.name,
            Project.max_state_bytes,
            Project.max_versions,
            Project.max_states,
            _counted(Project.max_state_bytes, size).label("size"),
            _counted(Project.max_versions, pinned).label("pinned"),
            _counted(Project.max_states, states).label("states"),
        )
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(State.id == bindparam("at_state"))
    )


# Built once, at import: building a statement takes longer than executing it.
FACTS = _statement()
_MAX_STATE_BYTES = select(Project.max_state_bytes).where(Project.id == bindparam("project_id"))


def _facts(db: Session, state: State) -> Any:
    return execute(db, FACTS, {"at_state": state.id}).one()


def _closed(facts: Any) -> Refusal | None:
    if facts.deleted_at is not None:
        return Refusal("state-deleted", "This state was deleted. To lock it, restore it first.")
    if facts.archived_at is not None:
        where = f" to {facts.archived_to}" if facts.archived_to else ""
        return Refusal(
            "state-archived",
            f"This state was moved{where} on {_moment(facts.archived_at)}: work with it there.",
        )
    if facts.frozen_at is not None:
        return _frozen(facts.frozen_at, facts.frozen_by, facts.frozen_reason)
    return None


def _frozen(since: datetime, by: str | None, reason: str | None) -> Refusal:
    return Refusal(
        "workspace-frozen",
        f"This workspace was frozen by {by} on {_moment(since)}: {(reason or '').rstrip('.')}. "
        "Reading stays possible.",
    )


def _size(facts: Any, size: int | None) -> Refusal | None:
    limit = facts.max_state_bytes
    if limit is None or size is None or size <= limit:
        return None
    return Refusal(
        "quota-state-size",
        f"The state has {size:,} bytes, but the project {facts.name} allows at most {limit:,}: "
        "ask an administrator for more.",
    )


def _full(facts: Any) -> Refusal | None:
    return _versions(facts) or _states(facts) or _history(facts)


def _history(facts: Any) -> Refusal | None:
    """Retention does not remove what somebody wrote lately, however much it is."""
    if facts.history_bytes is None:
        return None
    return Refusal(
        "history-full",
        f"The kept versions of this state have {facts.history_bytes:,} bytes, which is more than "
        "STATEROOM_MAX_HISTORY_BYTES: delete some that are not needed (scope state:delete), or "
        "ask the operator for more.",
    )


def _versions(facts: Any) -> Refusal | None:
    """Retention makes room for a new version, but it never removes pinned ones."""
    limit = facts.max_versions
    if limit is None or facts.pinned < limit:
        return None
    return Refusal(
        "quota-versions",
        f"The project {facts.name} keeps at most {limit:,} versions of a state, and "
        f"{facts.pinned:,} of this one are pinned: there is no room for a new one. Unpin some, "
        "or ask an administrator for more.",
    )


def _states(facts: Any) -> Refusal | None:
    limit = facts.max_states
    if limit is None or facts.states <= limit:
        return None
    return _too_many_states(facts.name, facts.states, limit)


def _too_many_states(project: str, held: int, limit: int) -> Refusal:
    return Refusal(
        "quota-states",
        f"The project {project} has {held:,} states, and its quota is {limit:,}: delete "
        "workspaces that are no longer needed, or ask an administrator for more.",
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
