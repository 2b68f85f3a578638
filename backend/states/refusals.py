"""Why a state takes no new lock: frozen, deleted, moved away, or over a quota of its project.

Terraform shows nothing of a refused LOCK but its ID: the code of the refusal is that ID.
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
    """`code` is stable and readable; `info` says in a sentence what is the matter and who helps."""

    code: str
    info: str

    def as_lock(self) -> Locked:
        """In the form of a lock's holder: clients of the protocol show nothing else."""
        return Locked(self.info, {"ID": self.code, "Info": self.info}, code=self.code)

    def as_conflict(self) -> Conflict:
        return Conflict(self.info, code=self.code)


def of(db: Session, state: State) -> Refusal | None:
    """Why nobody may lock this state now, if so.

    Who decides by it holds the row of the lock: who freezes or deletes needs that row too.
    """
    return against_a_lock(_facts(db, state))


def against_a_lock(facts: Any) -> Refusal | None:
    """`of`, by the row of FACTS."""
    return _closed(facts) or _size(facts, facts.size) or _versions(facts) or _states(facts)


def of_write(db: Session, state: State, size: int) -> Refusal | None:
    """Why a document of this size (bytes) is not taken from somebody without a lock, if so.

    Who holds the lock is not asked: what is applied already would be lost. The size is that of
    the new document, so that a smaller one may follow one that is too large.
    """
    facts = _facts(db, state)
    return _closed(facts) or _size(facts, size) or _versions(facts) or _states(facts)


def of_another_state(db: Session, project: Project) -> Refusal | None:
    """Why the project gets no further state, if so. Who makes one waits here for the others."""
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
    """How large a version may be, in bytes: by its project's quota, and by everybody's limit."""
    limit = settings.max_state_bytes
    return limit if quota is None else min(limit, quota)


def frozen(workspace: Workspace) -> Refusal | None:
    """Why nothing of this workspace may be taken away or run now, if so."""
    if workspace.frozen_at is None:
        return None
    return _frozen(workspace.frozen_at, workspace.frozen_by, workspace.frozen_reason)


def _counted(limit: Any, what: Select[Any]) -> Any:
    """What a project has no quota for is not counted: LOCK asks this each time."""
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


# Made once: making a statement takes longer than executing it.
FACTS = _statement()
_MAX_STATE_BYTES = select(Project.max_state_bytes).where(Project.id == bindparam("project_id"))


def _facts(db: Session, state: State) -> Any:
    return execute(db, FACTS, {"at_state": state.id}).one()


def _closed(facts: Any) -> Refusal | None:
    if facts.deleted_at is not None:
        return Refusal("state-deleted", "This state was deleted. Restore it to lock it.")
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
        f"The state has {size:,} bytes, and {limit:,} are the most in the project {facts.name}: "
        "ask an administrator for more.",
    )


def _versions(facts: Any) -> Refusal | None:
    """Retention makes room for a new version, but never out of pinned ones."""
    limit = facts.max_versions
    if limit is None or facts.pinned < limit:
        return None
    return Refusal(
        "quota-versions",
        f"{facts.pinned:,} versions of the state are pinned, and {limit:,} are the most that a "
        f"state keeps in the project {facts.name}: there is no room for a new one. Unpin some, "
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
        f"The project {project} has {held:,} states, and {limit:,} are the most: delete "
        "workspaces that are no longer needed, or ask an administrator for more.",
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
