"""Which versions of a state are kept: the newest ones, the pinned ones, two of every lock.

Only the body of a version is removed. Its row stays, so that the numbers have no gaps and the
history is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute, now
from backend.models import Lock, Project, RescuedWrite, State, StateVersion, Workspace
from backend.transactions import Transaction

FIRST_AND_LAST = 2  # versions of a lock that stay
LOOKED_AT = 50  # states in one query
BATCH = 50  # versions in one transaction
# the longest time that a backup may take from the dump of its database to its last file
FILE_STAYS = timedelta(days=1)

_KEPT = StateVersion.removed_at.is_(None)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the installation keeps of a state, unless its workspace sets its own limits.

    `versions` counts the newest versions that are not pinned. `days` of None means for ever.
    """

    versions: int
    days: int | None


@dataclass(frozen=True, slots=True)
class Surplus:
    """Versions of one state that may be removed, oldest first, at most BATCH of them."""

    state_id: str
    project_id: str
    numbers: Sequence[int]

    @property
    def is_batch(self) -> bool:
        """Whether there may be more of them."""
        return len(self.numbers) == BATCH


def removed(because: str) -> dict[str, Any]:
    """The columns that remove a body. `because` is deleted, retention, compaction or purged.

    The key of the body is removed at once. A file is deleted a day later.
    """
    return {
        "removed_at": now(),
        "removed_because": because,
        "pinned": False,
        "sealed": None,
        "wrapped_key": b"",
    }


def decided(decision: str, by: str) -> dict[str, Any]:
    """The columns that store the decision on a rescued write and remove its body."""
    return {
        "decision": decision,
        "decided_at": now(),
        "decided_by": by,
        "sealed": None,
        "wrapped_key": b"",
    }


def _compaction() -> Any:
    def of_this_lock(end: Any) -> Any:
        other = StateVersion.__table__.alias()
        return (
            select(end(other.c.number))
            .where(
                other.c.state_id == bindparam("of_state"),
                other.c.number > bindparam("since"),
                other.c.lock_id == bindparam("of_lock"),
            )
            .scalar_subquery()
        )

    return (
        update(StateVersion)
        .where(
            StateVersion.state_id == bindparam("of_state"),
            StateVersion.number > of_this_lock(func.min),
            StateVersion.number < of_this_lock(func.max),
            StateVersion.lock_id == bindparam("of_lock"),
            _KEPT,
            ~StateVersion.pinned,
        )
        .values(removed("compaction"))
    )


# Built once, at import: building a statement takes longer than executing it.
_COMPACT = _compaction()


def compact(tx: Transaction, state: State, lock: Lock | Row[Any]) -> None:
    """Of the versions written under this lock, keep the first, the last and the pinned ones.

    Called whenever a lock ends, before `version_at_release` is changed.
    """
    since = lock.version_at_release
    if state.current - since <= FIRST_AND_LAST:
        return
    asked = {"of_state": state.id, "of_lock": lock.lock_id, "since": since}
    count = execute(tx.db, _COMPACT, asked).rowcount
    if count:
        audit.record(
            tx, "state.compact", state.id, project_id=state.project_id,
            lock_id=lock.lock_id, removed=count,
        )  # fmt: skip


def find_surplus(
    db: Session, policy: Policy, after: str = "", limit: int = LOOKED_AT
) -> tuple[list[Surplus], str]:
    """What to prune of the next states after this id, and the id of the last of them.

    The id is empty when there are no more states.
    """
    asked = _of_next_states(policy).where(State.id > after).limit(limit)
    rules = {rule.id: rule for rule in db.execute(asked)}
    today = db.execute(select(now())).scalar_one()
    found = []
    for counted in db.execute(_counts(list(rules))):
        rule = rules[counted.state_id]
        keep = _room(rule, counted.pinned)
        before = None if rule.days is None else today - timedelta(days=rule.days)
        too_old = before is not None and counted.oldest is not None and counted.oldest < before
        if (counted.loose > keep or too_old) and (numbers := _surplus(db, rule, keep, before)):
            found.append(Surplus(rule.id, rule.project_id, numbers))
    return found, max(rules, default="")


def prune(tx: Transaction, surplus: Surplus) -> int:
    """Remove the bodies of these versions, except pinned ones, and return how many were removed.

    Several processes may do it at the same time.
    """
    tx.require("state:delete", surplus.project_id)
    current = select(State.current).where(State.id == surplus.state_id).scalar_subquery()
    result = tx.db.execute(
        update(StateVersion)
        .where(
            StateVersion.state_id == surplus.state_id,
            StateVersion.number.in_(surplus.numbers),
            StateVersion.number < current,
            _KEPT,
            ~StateVersion.pinned,
        )
        .values(removed("retention"))
        .returning(StateVersion.number)
        .execution_options(synchronize_session=False)
    )
    numbers = sorted(result.scalars())
    if numbers:
        audit.record(
            tx, "state.prune", surplus.state_id, project_id=surplus.project_id,
            numbers=numbers,
        )  # fmt: skip
    return len(numbers)


def forget_files(db: Session) -> None:
    """Clear the names of files whose body was removed a day ago, so that the sweep deletes them."""
    long_ago = now(-FILE_STAYS)
    for table, went_at in (
        (StateVersion, StateVersion.removed_at),
        (RescuedWrite, RescuedWrite.decided_at),
    ):
        db.execute(
            update(table)
            .where(table.blob.is_not(None), went_at < long_ago)
            .values(blob=None)
            .execution_options(synchronize_session=False)
        )


def _of_next_states(policy: Policy) -> Select[*tuple[Any, ...]]:
    """States with their limits, except deleted, frozen and locked ones, which are left alone.

    A locked one may have many versions that compaction will remove; they must not displace history.
    """
    return (
        select(
            State.id,
            State.project_id,
            State.current,
            func.coalesce(Workspace.keep_versions, policy.versions).label("versions"),
            func.coalesce(Workspace.keep_days, policy.days).label("days"),
            Project.max_versions,
        )
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .join(Lock, Lock.state_id == State.id)
        .where(State.deleted_at.is_(None), ~Lock.held, Workspace.frozen_at.is_(None))
        .order_by(State.id)
    )


def _counts(state_ids: Sequence[str]) -> Select[*tuple[Any, ...]]:
    loose = case((~StateVersion.pinned, StateVersion.created_at))
    return (
        select(
            StateVersion.state_id,
            func.count(loose).label("loose"),
            (func.count() - func.count(loose)).label("pinned"),
            func.min(loose).label("oldest"),
        )
        .where(StateVersion.state_id.in_(state_ids), _KEPT)
        .group_by(StateVersion.state_id)
    )


def _room(rule: Any, pinned: int) -> int:
    """How many versions that are not pinned may stay; at least one, the current one."""
    if rule.max_versions is None:
        return int(rule.versions)
    return max(1, min(int(rule.versions), int(rule.max_versions) - pinned))


def _surplus(db: Session, rule: Any, keep: int, before: datetime | None) -> Sequence[int]:
    number = StateVersion.number
    loose = select(number).where(StateVersion.state_id == rule.id, _KEPT, ~StateVersion.pinned)
    last_kept = db.scalar(loose.order_by(number.desc()).offset(keep - 1).limit(1))
    reasons = []
    if last_kept is not None:
        reasons.append(number < last_kept)
    if before is not None:
        reasons.append(StateVersion.created_at < before)
    if not reasons:
        return ()
    found = loose.where(number < rule.current, or_(*reasons))
    return db.scalars(found.order_by(number).limit(BATCH)).all()
