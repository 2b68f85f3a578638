from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from backend.errors import Invalid
from backend.web.api.answers import Body

MAX_DAYS = 3650


class Expiring(Body):
    """A body that says when what it makes ends: at a moment, or in so many days."""

    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        None, description="With its time zone; null: never"
    )
    expires_in_days: int | None = Field(
        None, ge=1, le=MAX_DAYS, description="Instead of expires_at"
    )

    def expiry(self) -> datetime | None:
        """Raises Invalid for the past, for the far future, and for both at once."""
        now = datetime.now(UTC)
        if self.expires_at is None:
            days = self.expires_in_days
            return None if days is None else now + timedelta(days=days)
        if self.expires_in_days is not None:
            raise Invalid("Give expires_at or expires_in_days, not both.", code="expiry-invalid")
        if not now < self.expires_at < now + timedelta(days=MAX_DAYS):
            raise Invalid(
                f"expires_at must be in the future, {MAX_DAYS} days away at most.",
                code="expiry-invalid",
            )
        return self.expires_at
