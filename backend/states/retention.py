"""Which versions of a state are kept: recent, newest and pinned ones, two of every day and lock.

Who may write states must not be able to remove history by writing. So the age of a version counts
from the moment when the next one replaced it, and numbers of versions limit only what is older than
some days. Too much history is measured here, and refused elsewhere (`refusals`), never removed.

Only the body of a version is removed. Its row stays, so that the numbers have no gaps and the
history is complete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session, aliased

from backend import audit
from backend.config import Settings
from backend.db import execute, now
from backend.models import Lock, Project, RescuedWrite, State, StateVersion, Workspace
from backend.transactions import Transaction

FIRST_AND_LAST = 2  # versions of a lock that stay
LOOKED_AT = 50  # states in one query
BATCH = 50  # versions in one transaction
DAY_MS = 86_400_000
# the longest time that a backup may take from the dump of its database to its last file
FILE_STAYS = timedelta(days=1)

_KEPT = StateVersion.removed_at.is_(None)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the installation keeps of a state.

    A workspace may have its own `versions`, which counts the newest that are not pinned, and its
    own `days`, after which every version goes; None means never. Of a version that was replaced
    less than `all_days` ago, no number is asked; of one that was replaced less than `daily_days`
    ago, the first and the last of its day stay. `max_bytes` limits the documents kept of a state.
    """

    versions: int
    days: int | None
    all_days: int
    daily_days: int
    max_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        return cls(
            versions=settings.keep_versions,
            days=settings.keep_days,
            all_days=settings.keep_all_days,
            daily_days=settings.keep_daily_days,
            max_bytes=settings.max_history_bytes,
        )


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


@dataclass(frozen=True, slots=True)
class Size:
    """What is kept of a state has more bytes than allowed; None when it has no longer."""

    state_id: str
    history_bytes: int | None


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found in some states. `last` is the id of the last one, empty after all states."""

    surplus: list[Surplus]
    sizes: list[Size]  # that are news
    last: str


def removed(because: str) -> dict[str, Any]:
    """The columns that remove a body. `because` is deleted, retention, compaction or purged.

    The key of the body is removed at once. A file is deleted a day later.
    """
    return {
        "removed_at": now(),
        "removed_because": because,
        "pinned": False,
        "sealed": None,
        "outputs": None,
        "wrapped_key": b"",
    }


def decide(db: Session, kept: RescuedWrite, decision: str, by: str) -> None:
    """Store the decision on a rescued write and remove its body."""
    kept.decision, kept.decided_by = decision, by
    kept.decided_at = db.scalar(select(now()))
    kept.sealed, kept.wrapped_key = None, b""
    db.flush()


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


def look(db: Session, policy: Policy, after: str = "", limit: int = LOOKED_AT) -> Looked:
    """What to prune of the next states after this id, and which of them have too much history."""
    asked = _of_next_states(policy).where(State.id > after).limit(limit)
    rules = {rule.id: rule for rule in db.execute(asked)}
    today = db.execute(select(now())).scalar_one()
    surplus, sizes = [], []
    for counted in db.execute(_counts(list(rules))):
        rule = rules[counted.state_id]
        if rule.may_prune and (numbers := _surplus(db, policy, rule, counted, today)):
            surplus.append(Surplus(rule.id, rule.project_id, numbers))
        above = int(counted.bytes) if counted.bytes > policy.max_bytes else None
        if (above is None) != (rule.history_bytes is None):
            sizes.append(Size(rule.id, above))
    return Looked(surplus, sizes, max(rules, default=""))


def due(tx: Transaction, state: State) -> Sequence[int]:
    """The numbers of the versions that are removed next, oldest first, at most BATCH of them."""
    tx.require("state:read", state.project_id)
    policy = Policy.of(tx.settings)
    rule = tx.db.execute(_of_next_states(policy).where(State.id == state.id)).one()
    counted = tx.db.execute(_counts([state.id])).one_or_none()
    if not rule.may_prune or counted is None:
        return ()
    return _surplus(tx.db, policy, rule, counted, tx.db.execute(select(now())).scalar_one())


def note_size(tx: Transaction, size: Size) -> None:
    """Note that a state has too much history, so that it takes no lock; or that it may again."""
    tx.principal.require_installation()
    tx.db.execute(
        update(State).where(State.id == size.state_id).values(history_bytes=size.history_bytes)
    )


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
    """States with their limits. Deleted, frozen and locked ones may not be pruned.

    A locked one may have many versions that compaction will remove; they must not displace history.
    """
    may_prune = and_(State.deleted_at.is_(None), not_(Lock.held), Workspace.frozen_at.is_(None))
    return (
        select(
            State.id,
            State.project_id,
            State.current,
            State.history_bytes,
            func.coalesce(Workspace.keep_versions, policy.versions).label("versions"),
            func.coalesce(Workspace.keep_days, policy.days).label("days"),
            Project.max_versions,
            may_prune.label("may_prune"),
        )
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .join(Lock, Lock.state_id == State.id)
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
            func.sum(StateVersion.size).label("bytes"),
        )
        .where(StateVersion.state_id.in_(state_ids), _KEPT)
        .group_by(StateVersion.state_id)
    )


def _surplus(
    db: Session, policy: Policy, rule: Any, counted: Any, today: datetime
) -> Sequence[int]:
    """The numbers of the versions of one state that may be removed, oldest first."""
    quota = None if rule.max_versions is None else max(1, int(rule.max_versions) - counted.pinned)
    undisturbed = today - timedelta(days=policy.all_days)
    too_old = undisturbed if rule.days is None else today - timedelta(days=rule.days)
    old = _replaced(rule.id, before=max(undisturbed, too_old))
    of_a_day = and_(old.c.replaced_at >= today - timedelta(days=policy.daily_days), old.c.is_daily)
    reasons: list[ColumnElement[bool]] = []
    if counted.loose > rule.versions:
        reasons.append(and_(old.c.number < _newest(rule, rule.versions), not_(of_a_day)))
    if quota is not None and counted.loose > quota:
        reasons.append(old.c.number < _newest(rule, quota))
    removable = [and_(old.c.replaced_at < undisturbed, or_(*reasons))] if reasons else []
    if rule.days is not None and counted.oldest is not None and counted.oldest < too_old:
        removable.append(old.c.replaced_at < too_old)
    if not removable:
        return ()
    found = select(old.c.number).where(~old.c.pinned, old.c.number < rule.current, or_(*removable))
    return db.scalars(found.order_by(old.c.number).limit(BATCH)).all()


def _newest(rule: Any, count: int) -> Any:
    """The number of the oldest of so many newest versions that are not pinned.

    Those written since the rule was read do not count: their lock may be held, and then they
    displace history until they are compacted.
    """
    of_state = StateVersion.state_id == rule.id, StateVersion.number <= rule.current
    loose = *of_state, _KEPT, ~StateVersion.pinned
    newest = select(StateVersion.number).where(*loose).order_by(StateVersion.number.desc())
    return newest.offset(count - 1).limit(1).scalar_subquery()


def _replaced(state_id: str, before: datetime) -> Any:
    """The versions that were replaced before this moment, and whether each is a daily one.

    That is the first or the last of those written on one day (UTC).
    """
    number, following, former = StateVersion.number, aliased(StateVersion), aliased(StateVersion)
    today, next_day, last_day = (_day(row) for row in (StateVersion, following, former))
    return (
        select(
            number,
            StateVersion.pinned,
            following.created_at.label("replaced_at"),
            or_(former.id.is_(None), last_day != today, next_day != today).label("is_daily"),
        )
        .join(following, and_(following.state_id == state_id, following.number == number + 1))
        .outerjoin(former, and_(former.state_id == state_id, former.number == number - 1))
        .where(StateVersion.state_id == state_id, _KEPT, following.created_at < before)
        .subquery()
    )


def _day(version: Any) -> ColumnElement[int]:
    return type_coerce(version.created_at, BigInteger()) // DAY_MS
