"""The one place that opens a session, and the database's own clock.

SQLAlchemy's default on SQLite silently loses updates; here every writer begins IMMEDIATE.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from backend.config import Settings
from backend.errors import Unavailable

BUSY_TIMEOUT_MS = 15_000
READ_ONLY = "stateroom_read_only"


class Timestamp(TypeDecorator[datetime]):
    """A moment, stored as whole milliseconds since 1970 UTC: alike on both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else round(value.timestamp() * 1000)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


class now(FunctionElement[datetime]):  # noqa: N801 reads like SQL's now()
    """The database's clock, plus `ahead`: leases and expiries never trust another machine's."""

    type = Timestamp()
    inherit_cache = False
    name = "now"

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        super().__init__()
        self.ahead_ms = round(ahead.total_seconds() * 1000)


@compiles(now, "sqlite")
def _now_sqlite(element: now, *_: Any, **__: Any) -> str:
    return (
        f"(CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) + {element.ahead_ms})"
    )


@compiles(now, "postgresql")
def _now_postgresql(element: now, *_: Any, **__: Any) -> str:
    return f"(CAST(extract(epoch from clock_timestamp()) * 1000 AS BIGINT) + {element.ahead_ms})"


class Database:
    """An engine and its two ways in: `transaction` writes, `reading` does not."""

    def __init__(self, settings: Settings) -> None:
        self.engine = _engine(settings)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        # SQLite's busy handler sleeps: one mutex a process keeps the tail short.
        self._writer = threading.Lock() if settings.is_sqlite else nullcontext()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A write transaction: committed when the block ends, rolled back when it raises.

        Raises Unavailable when the database cannot be reached or stays busy.
        """
        with self._writer, _readable_errors(), self._sessions.begin() as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read-only transaction."""
        with _readable_errors(), self._sessions() as db:
            db.connection(execution_options={READ_ONLY: True})
            yield db

    def close(self) -> None:
        self.engine.dispose()


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"The database does not answer: {error.orig}") from error


def _engine(settings: Settings) -> Engine:
    if not settings.is_sqlite:
        return create_engine(settings.database, pool_size=16, max_overflow=32, pool_pre_ping=True)
    engine = create_engine(
        settings.database, pool_size=16, max_overflow=32, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
