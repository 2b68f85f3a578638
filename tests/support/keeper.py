"""The person who keeps a place in order: freezes it, sets its quotas, holds its lock."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from backend.db import now
from backend.models import Lock, Project, State
from backend.sealing import proven
from tests.support.place import Place


class Keeper:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._project = place.filled("/projects/{project}")
        self._workspace = place.filled("/projects/{project}/workspaces/{workspace}")

    def freeze(self, reason: str = "we move the network") -> None:
        self.place.api.post(f"{self._workspace}/freeze", reason=reason)

    def unfreeze(self) -> None:
        self.place.api.post(f"{self._workspace}/unfreeze")

    def set_quotas(self, **quotas: int | None) -> None:
        self.place.api.patch(self._project, **quotas)

    def pin(self, number: int) -> None:
        self.place.api.patch(f"{self._workspace}/states/{number}", pinned=True)

    def unpin(self, number: int) -> None:
        self.place.api.patch(f"{self._workspace}/states/{number}", pinned=False)

    def set_lock_timeout(self, seconds: int | None = 60) -> None:
        self.place.api.patch(self._workspace, lock_timeout_seconds=seconds)

    def hold(self, minutes: int = 30, reason: str = "we look at it by hand") -> dict[str, Any]:
        held: dict[str, Any] = self.place.api.post(
            f"{self._workspace}/lock", reason=reason, expires_in_minutes=minutes
        )
        return held

    def release(self) -> None:
        self.place.api.delete(f"{self._workspace}/lock")

    def lock(self) -> dict[str, Any]:
        found: dict[str, Any] = self.place.api.get(f"{self._workspace}/lock")
        return found

    def rescued(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.place.api.get(f"{self._workspace}/rescued")["items"]
        return found

    def let_seconds_pass(self, seconds: int) -> None:
        """Move the times of the lock into the past, as if so many seconds had passed."""
        ago = timedelta(seconds=seconds)
        with self.place.looking() as database, database.transaction() as db:
            lock = db.scalars(select(Lock).where(Lock.state_id == self._state_id())).one()
            for moment in ("acquired_at", "last_seen_at", "expires_at"):
                if (at := getattr(lock, moment)) is not None:
                    setattr(lock, moment, at - ago)

    def archive(self, to: str = "s3://bucket/key") -> None:
        """Archive the state as an export does."""
        with self.place.looking() as database, database.transaction() as db:
            db.execute(
                update(State)
                .where(State.id == self._state_id())
                .values(archived_at=now(), archived_to=to)
            )
            proven.accept(db, State, State.id == self._state_id())

    def _state_id(self) -> Any:
        return (
            select(State.id)
            .join(Project, Project.id == State.project_id)
            .where(Project.name == self.place.project)
            .order_by(State.id)
            .limit(1)
            .scalar_subquery()
        )
