"""Throttles: how often somebody may try, counted by all processes together in the database.

An attempt moves a moment in the row of its counter into the future. While that moment is too far
ahead, attempts are refused; once it has passed, the row means nothing, and is deleted. A right
credential needs no row, and no statement here.

Guessing cannot fill the table: above MAX_ROWS the rows that have the least to say are deleted, so
that to be forgotten somebody has to fill it with counters that have more attempts than theirs.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, delete, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.db import Database, now
from backend.errors import Throttled
from backend.models import Attempts

MAX_ROWS = 10_000


@dataclass(frozen=True)
class Limit:
    """So many attempts at once, and then one more in so many seconds."""

    free: int
    every: float

    @property
    def step_ms(self) -> int:
        return round(self.every * 1000)

    @property
    def reach_ms(self) -> int:
        """How far ahead the moment may be for another attempt."""
        return (self.free - 1) * self.step_ms


@dataclass(frozen=True)
class Counter:
    """Attempts at one thing. `key` is a hash of what was given, which may be a secret."""

    key: bytes
    limit: Limit

    @classmethod
    def of(cls, limit: Limit, *what: str) -> Counter:
        parts = (hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest() for part in what)
        return cls(hashlib.sha256(b"".join(parts)).digest(), limit)


# For one name from one address, and for one name from everywhere. The second is so much wider that
# one address alone never keeps another one out.
FROM_ONE_ADDRESS = Limit(free=10, every=30.0)
FROM_ALL_ADDRESSES = Limit(free=100, every=3.0)


def of_login(kind: str, name: str, address: str) -> list[Counter]:
    """The counters of attempts to log in as this name from the address of a client."""
    return [
        Counter.of(FROM_ONE_ADDRESS, kind, name, network(address)),
        Counter.of(FROM_ALL_ADDRESSES, kind, name),
    ]


def network(address: str) -> str:
    """What one client may choose its address from: an IPv4 address, or a /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""  # a socket without addresses
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def check(database: Database, counters: Sequence[Counter]) -> None:
    """Raise Throttled if one of them is over, and count nothing."""
    with database.reading() as db:
        _refuse(db, counters)


def count(database: Database, counters: Sequence[Counter]) -> None:
    """Count one attempt with each. Raises Throttled, and counts nothing, if one of them is over."""
    check(database, counters)  # who is refused does not wait for the only writer of SQLite
    with database.transaction() as db:
        for counter in _in_order(counters):
            if db.execute(_upsert(db, counter)).first() is None:
                _refuse(db, [counter])
                raise Throttled(_TOO_MANY, seconds=counter.limit.every)
        _bound(db)


def is_over(database: Database, counter: Counter) -> bool:
    """Count one attempt, and return whether it is one too many."""
    try:
        count(database, [counter])
    except Throttled:
        return True
    return False


def forgive(database: Database, counters: Sequence[Counter]) -> None:
    """Take back the attempt that was right, and with it all those of the first counter."""
    with database.transaction() as db:
        for counter in _in_order(counters):
            of_it = Attempts.key == counter.key
            if counter is counters[0]:
                db.execute(delete(Attempts).where(of_it))
                continue
            before = _plus(_UNTIL, -counter.limit.step_ms)
            db.execute(update(Attempts).where(of_it).values(until=before))


def forget_old(db: Session) -> None:
    """Delete the rows that no longer limit anything."""
    db.execute(delete(Attempts).where(Attempts.until < now()))


_TOO_MANY = "Too many wrong passwords for this name."
_UNTIL = type_coerce(Attempts.until, BigInteger())
_NOW = type_coerce(now(), BigInteger())
_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}


def _in_order(counters: Sequence[Counter]) -> list[Counter]:
    """In one order for everybody: two that lock their rows in another one would wait for ever."""
    return sorted(counters, key=lambda counter: counter.key)


def _refuse(db: Session, counters: Sequence[Counter]) -> None:
    ahead = (_UNTIL - _NOW).label("ahead")
    asked = select(Attempts.key, ahead).where(Attempts.key.in_([c.key for c in counters]))
    found = {row.key: row.ahead for row in db.execute(asked)}
    waits = [found.get(counter.key, 0) - counter.limit.reach_ms for counter in counters]
    if max(waits) > 0:
        raise Throttled(_TOO_MANY, seconds=max(waits) / 1000)


def _upsert(db: Session, counter: Counter) -> Any:
    """Count one attempt, unless the counter is over: then no row is returned."""
    step = counter.limit.step_ms
    values = {"key": counter.key, "until": now(timedelta(milliseconds=step))}
    later = case((_UNTIL > _NOW, _UNTIL), else_=_NOW)
    dialect: Any = _DIALECTS[db.get_bind().dialect.name]
    counted = dialect.insert(Attempts).values(values)
    return counted.on_conflict_do_update(
        index_elements=["key"],
        set_={"until": _plus(later, step)},
        where=_NOW + counter.limit.reach_ms + 1 > _UNTIL,
    ).returning(Attempts.key)


def _plus(moment: ColumnElement[int], ms: int) -> ColumnElement[Any]:
    return type_coerce(moment + ms, Attempts.until.type)


def _bound(db: Session) -> None:
    beyond = select(Attempts.key).order_by(Attempts.until.desc()).offset(MAX_ROWS)
    doomed = db.scalars(beyond.with_for_update(skip_locked=True)).all()
    if doomed:
        db.execute(delete(Attempts).where(Attempts.key.in_(doomed)))
