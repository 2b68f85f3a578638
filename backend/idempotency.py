"""A POST that is repeated with its Idempotency-Key makes nothing new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.errors import Invalid
from backend.models import IdempotencyKey
from backend.principal import Principal


class Made(Protocol):
    @property
    def id(self) -> str: ...


Thing = TypeVar("Thing", bound=Made)


def once(  # noqa: PLR0913 who, which request, and the two ways to answer it
    db: Session,
    principal: Principal,
    *,
    key: str,
    fingerprint: str,
    make: Callable[[], Thing],
    again: Callable[[str], Thing],
) -> Thing:
    """What `make` makes, in its own transaction; for a repetition what `again` finds by its id.

    Raises Invalid `idempotency-key-reused` when the key came with another request before.
    """
    if _claim(db, principal, key, fingerprint):
        made = make()
        _row(db, principal, key).made = made.id
        return made
    before = _row(db, principal, key)
    if before.fingerprint != fingerprint:
        raise Invalid(
            "This Idempotency-Key came with another request before: use a new one.",
            code="idempotency-key-reused",
        )
    return again(before.made)


def _claim(db: Session, principal: Principal, key: str, fingerprint: str) -> bool:
    """Whether we are first. A repetition that arrives meanwhile waits here for our commit."""
    values = {"principal": principal.token_id, "key": key, "fingerprint": fingerprint, "made": ""}
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(IdempotencyKey).values(values).on_conflict_do_nothing()
    return bool(db.scalar(statement.returning(IdempotencyKey.key)))


def _row(db: Session, principal: Principal, key: str) -> IdempotencyKey:
    return db.scalars(
        select(IdempotencyKey).where(
            IdempotencyKey.principal == principal.token_id, IdempotencyKey.key == key
        )
    ).one()
