from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response
from pydantic import Field, computed_field

from backend import locks, projects, states, workspaces
from backend.web.api.answers import Answer, ProjectPath, Query, answer, blueprint
from backend.web.current import principal, reading, transaction

bp = blueprint("locks", "Who holds a state now")

STALE_AFTER = timedelta(minutes=5)


class WorkspacePath(ProjectPath):
    workspace: str = Field(description="The workspace's name or id")


class Reason(Query):
    reason: str = Field("", max_length=500, pattern=r"^[^\x00]*$", description="For the audit log")


class Lock(Answer):
    held: bool
    lock_id: str | None = Field(description="Of the lock that is held, or was held last")
    info: dict[str, Any] = Field(
        description="What its holder's terraform said: Operation, Who, Created and so on"
    )
    held_by: str = Field(description="The token or run that took it")
    run_id: str | None
    acquired_at: datetime | None
    last_seen_at: datetime | None = Field(description="When its holder last sent something")

    @computed_field(description="Held from outside, and silent for 5 minutes")  # type: ignore[prop-decorator]
    @property
    def stale(self) -> bool:
        if not self.held or self.run_id is not None or self.last_seen_at is None:
            return False
        return self.last_seen_at < datetime.now(UTC) - STALE_AFTER


@bp.get("/projects/<project>/workspaces/<workspace>/lock", responses={200: Lock})
def get_lock(path: WorkspacePath) -> Response:
    """Whether the state is locked, and by whom."""
    with reading() as db:
        project = projects.get(db, principal(), path.project, "runs:read")
        workspace = workspaces.get(db, project, path.workspace)
        lock = locks.get(db, states.of_workspace(db, workspace))
    return answer(Lock.model_validate(lock))


@bp.delete("/projects/<project>/workspaces/<workspace>/lock", responses={200: Lock})
def break_lock(path: WorkspacePath, query: Reason) -> Response:
    """Break the lock, whoever holds it. Their next write is refused."""
    with transaction() as db:
        project = projects.get(db, principal(), path.project, "state:unlock")
        state = states.of_workspace(db, workspaces.get(db, project, path.workspace))
        lock = locks.break_lock(db, principal(), state, query.reason)
    return answer(Lock.model_validate(lock))
