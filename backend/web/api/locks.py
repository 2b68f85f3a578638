from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from flask import Response
from pydantic import AwareDatetime, Field, computed_field, model_validator

from backend.catalogue import projects
from backend.models import Lock as LockRow
from backend.states import holds, locks, states
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Answer,
    Body,
    Cursor,
    Named,
    Page,
    ProjectPath,
    Query,
    WorkspacePath,
    answer,
    blueprint,
    problems,
)
from backend.web.current import reading, transaction

bp = blueprint("locks", "Who has locked a state")

WORKSPACE_LOCK = f"{WORKSPACE}/lock"
STALE_AFTER = timedelta(minutes=5)


class Reason(Query):
    reason: str = Field(
        "",
        max_length=500,
        pattern=r"^[^\x00]*$",
        description="For the audit log; needed except for your own hold",
    )


class Hold(Body):
    reason: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*$",
        description="Shown to everybody who wants the lock",
    )
    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        None, description="The end, with a time zone, within 30 days"
    )
    expires_in_minutes: int | None = Field(
        None, ge=1, le=43_200, description="Instead of expires_at"
    )

    def until(self) -> datetime | None:
        """The end of the hold, or None unless exactly one of the fields is given."""
        if self.expires_in_minutes is None:
            return self.expires_at
        minutes = timedelta(minutes=self.expires_in_minutes)
        return datetime.now(UTC) + minutes if self.expires_at is None else None


class Lock(Answer):
    held: bool
    lock_id: str | None = Field(description="The ID of the lock that is held, or was held last")
    info: dict[str, Any] = Field(
        description="What the holder's terraform sent: Operation, Who, Created and so on"
    )
    held_by: str = Field(description="The person, token, alias or run that took it")
    run_id: str | None = Field(description="The run that took it; null: not a run")
    acquired_at: datetime | None
    last_seen_at: datetime | None = Field(description="When its holder last sent something")
    expires_at: datetime | None = Field(description="The end of a hold; null: it is not a hold")
    hold_reason: str | None = Field(description="The reason of a hold")
    taken_from: str | None = Field(description="After a take-over: the ID of the former lock")

    @computed_field(description="Held by a client that was silent for 5 minutes")  # type: ignore[prop-decorator]
    @property
    def stale(self) -> bool:
        from_outside = self.held and self.run_id is None and self.expires_at is None
        if not from_outside or self.last_seen_at is None:
            return False
        return self.last_seen_at < datetime.now(UTC) - STALE_AFTER

    @model_validator(mode="after")
    def _end_with_its_time(self) -> Self:
        """Show a hold whose time is over as ended: its row changes only with the next request."""
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            self.held = False
        return self


class HeldLock(Lock):
    workspace: Named


class HeldLocks(Page[HeldLock]):
    pass


@bp.get("/projects/<project>/locks", responses={200: HeldLocks})
def list_locks(path: ProjectPath, query: Cursor) -> Response:
    """The locks of a project that are held now."""
    with reading() as tx:
        found = locks.find_held(tx, projects.named(tx, path.project), query.cursor, query.limit)
    items = [
        HeldLock(**_facts(lock), workspace=Named.model_validate(workspace))
        for lock, workspace in found.items
    ]
    return answer(HeldLocks(items=items, next_cursor=found.next_cursor))


@bp.get(WORKSPACE_LOCK, responses={200: Lock})
def get_lock(path: WorkspacePath) -> Response:
    """Whether the state is locked, and by whom."""
    with reading() as tx:
        lock = locks.get(tx, states.named(tx, path.project, path.workspace))
    return answer(shown(lock))


@bp.post(WORKSPACE_LOCK, responses={200: Lock, **WITH_BODY, **problems(409, 423)})
def hold_lock(path: WorkspacePath, body: Hold) -> Response:
    """Hold the lock by hand until a given time, so that nobody else plans or applies.

    Repeating it changes the reason and the end.
    """
    with transaction() as tx:
        state = states.named(tx, path.project, path.workspace)
        lock = holds.hold(tx, state, body.reason, body.until())
    return answer(shown(lock))


@bp.delete(WORKSPACE_LOCK, responses={200: Lock})
def break_lock(path: WorkspacePath, query: Reason) -> Response:
    """Break the lock, whoever holds it. The holder's next write is refused.

    It needs state:unlock; ending your own hold only needs state:write.
    """
    with transaction() as tx:
        lock = holds.end(tx, states.named(tx, path.project, path.workspace), query.reason)
    return answer(shown(lock))


def shown(lock: LockRow) -> Lock:
    return Lock(**_facts(lock))


def _facts(lock: LockRow) -> dict[str, Any]:
    plain = {name: getattr(lock, name) for name in Lock.model_fields if hasattr(lock, name)}
    info = {name: said for name, said in lock.info.items() if name in locks.KEPT}
    return plain | {"info": info, "hold_reason": lock.info.get("Reason")}
