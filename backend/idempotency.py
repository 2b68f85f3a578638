"""Idempotency keys: a POST that is repeated with its Idempotency-Key creates nothing new."""

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
    """The result of `make`, or, if the request is repeated, of `again` with the id of that result.

    Raises Invalid with `idempotency-key-reused` when the key was used for another request.
    """
    if _claim(tx, key, fingerprint):
        made = make()
        _row(tx, key).made = made.id
        return made
    before = _row(tx, key)
    if before.fingerprint != fingerprint:
        raise Invalid(
            "This Idempotency-Key was already used for another request: use a new one.",
            code="idempotency-key-reused",
        )
    return again(before.made)


def _claim(tx: Transaction, key: str, fingerprint: str) -> bool:
    """Whether this is the first request with the key. A repetition waits until it has committed."""
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
