"""A POST that is repeated with its Idempotency-Key makes nothing new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from backend.errors import Invalid
from backend.models import IdempotencyKey
from backend.transactions import Transaction


class Made(Protocol):
    @property
    def id(self) -> str: ...


Thing = TypeVar("Thing", bound=Made)


def once(
    tx: Transaction,
    *,
    key: str,
    fingerprint: str,
    make: Callable[[], Thing],
    again: Callable[[str], Thing],
) -> Thing:
    """What `make` makes, in its own transaction; for a repetition what `again` finds by its id.

    Raises Invalid `idempotency-key-reused` when the key came with another request before.
    """
    if _claim(tx, key, fingerprint):
        made = make()
        _row(tx, key).made = made.id
        return made
    before = _row(tx, key)
    if before.fingerprint != fingerprint:
        raise Invalid(
            "This Idempotency-Key came with another request before: use a new one.",
            code="idempotency-key-reused",
        )
    return again(before.made)


def _claim(tx: Transaction, key: str, fingerprint: str) -> bool:
    """Whether we are first. A repetition that arrives meanwhile waits here for our commit."""
    db = tx.db
    values = {
        "principal": tx.principal.token_id,
        "key": key,
        "fingerprint": fingerprint,
        "made": "",
    }
    dialect = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(IdempotencyKey).values(values).on_conflict_do_nothing()
    return bool(db.scalar(statement.returning(IdempotencyKey.key)))


def _row(tx: Transaction, key: str) -> IdempotencyKey:
    asked = select(IdempotencyKey).filter_by(principal=tx.principal.token_id, key=key)
    return tx.db.scalars(asked).one()
