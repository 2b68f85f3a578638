from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from backend.errors import Invalid
from backend.web.api.answers import Body

MAX_DAYS = 3650


class Expiring(Body):
    """A body with an expiry: a moment, or a number of days."""

    expires_at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        None, description="The end, with a time zone; null: never"
    )
    expires_in_days: int | None = Field(
        None, ge=1, le=MAX_DAYS, description="Instead of expires_at"
    )

    def expiry(self) -> datetime | None:
        """The expiry. Raises Invalid if it is in the past or far future, or given twice."""
        now = datetime.now(UTC)
        if self.expires_at is None:
            days = self.expires_in_days
            return None if days is None else now + timedelta(days=days)
        if self.expires_in_days is not None:
            raise Invalid("Give expires_at or expires_in_days, not both.", code="expiry-invalid")
        if not now < self.expires_at < now + timedelta(days=MAX_DAYS):
            raise Invalid(
                f"expires_at must be in the future, within {MAX_DAYS} days.",
                code="expiry-invalid",
            )
        return self.expires_at
