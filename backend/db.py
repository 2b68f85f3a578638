"""Sessions and connections of the database, and the database's clock.

With SQLAlchemy's default, concurrent writers on SQLite silently lose updates. So every write
transaction here begins with BEGIN IMMEDIATE.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import BigInteger, Dialect, Executable, create_engine, event, literal
from sqlalchemy.engine import Connection, CursorResult, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from backend import sqlite_turns
from backend.config import Settings
from backend.errors import Unavailable
from backend.express import Bare, Guarded, Statement
from backend.sqlite_turns import Turn

READ_ONLY = "stateroom_read_only"
IDLE_SINCE = "stateroom_idle_since"
PING_AFTER_SECONDS = 1.0
SQLITE = {
    "check_same_thread": False,
    "timeout": 0,  # it waits outside of SQLite
    "factory": sqlite_turns.Connection,
}
ALONE = {
    "isolation_level": "AUTOCOMMIT",
    "pool_size": 8,
    "max_overflow": 8,
    "pool_reset_on_return": None,
}
PATIENCE = {
    "connect_timeout": 5,  # seconds, these four
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,  # milliseconds
}


class Timestamp(TypeDecorator[datetime]):
    """A moment, stored as milliseconds since 1970 UTC, the same on both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else round(value.timestamp() * 1000)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else datetime.fromtimestamp(value / 1000, UTC)


class now(FunctionElement[datetime]):  # noqa: N801 reads like SQL's now()
    """The time of the database, plus `ahead`. Leases and expiries use no other clock."""

    type = Timestamp()
    inherit_cache = True  # otherwise statements with it would be compiled every time
    name = "now"

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        ahead_ms = round(ahead.total_seconds() * 1000)
        super().__init__(*([literal(ahead_ms, BigInteger())] if ahead_ms else []))


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: SQLCompiler, **given: Any) -> str:
    clock = "CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)"
    return _ahead(clock, element, compiler, given)


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: SQLCompiler, **given: Any) -> str:
    clock = "CAST(extract(epoch from clock_timestamp()) * 1000 AS BIGINT)"
    return _ahead(clock, element, compiler, given)


def _ahead(clock: str, element: now, compiler: SQLCompiler, given: dict[str, Any]) -> str:
    return f"({' + '.join([clock, *(compiler.process(ms, **given) for ms in element.clauses)])})"


class Database:
    """An engine, and the ways to use it.

    `transaction` and `reading` give a Session. The others are faster, and use the driver's
    connection: `asking`, `change` and `change_if` for single statements, `express` for several.
    """

    def __init__(self, settings: Settings) -> None:
        self.engine = _engine(settings)
        self.info: dict[str, Any] = {}  # what every session has as `info` from the start
        self._sessions = sessionmaker(self.engine, expire_on_commit=False, info=self.info)
        self._readers = sessionmaker(_read_only(self.engine), info=self.info)
        # a pool of their own for single statements: they need no BEGIN, COMMIT and ROLLBACK
        self.autocommitting = self.engine if settings.is_sqlite else _postgresql(settings, **ALONE)
        self._on_sqlite = settings.is_sqlite
        self._writer = Turn() if settings.is_sqlite else nullcontext()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A write transaction: committed when the block ends, rolled back when it raises.

        Raises Unavailable when the database cannot be reached or stays busy.
        """
        with self._writer, _readable_errors(), self._sessions.begin() as db:
            yield db

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading only. On SQLite all its queries see the same moment."""
        with _readable_errors(), self._readers() as db:
            yield db

    @contextmanager
    def asking(self) -> Iterator[Bare]:
        """A connection for single statements that read, without a Session. Raises Unavailable."""
        with self._bare(self.autocommitting) as connection:
            yield Bare(connection, self.engine.dialect)

    def change(self, statement: Statement, values: Mapping[str, Any]) -> None:
        """Insert or update, as a transaction of one statement. Raises Unavailable."""
        with self._writer, self.asking() as bare:
            bare.change(statement, values)

    def change_if(self, guarded: Guarded, values: Mapping[str, Any]) -> bool:
        """Make these changes in one transaction if the guards allow it. Returns whether they did.

        Raises Unavailable.
        """
        if not self._on_sqlite:
            with self.asking() as bare:
                return bare.one(guarded.at_once, values) is not None
        with self.express() as bare:
            if not all(bare.one(guard, values) for guard in guarded.guards):
                return False
            for change in guarded.changes:
                bare.change(change, values)
            return True

    @contextmanager
    def express(self) -> Iterator[Bare]:
        """A write transaction without a Session, for statements that take less time than a Session.

        What was not committed is rolled back when the pool gets its connection back. Raises
        Unavailable.
        """
        with self._writer, self._bare(self.engine) as connection:
            if self._on_sqlite:
                connection.execute("BEGIN IMMEDIATE")
            yield Bare(connection, self.engine.dialect)
            connection.commit()

    @contextmanager
    def _bare(self, engine: Engine) -> Iterator[Any]:
        """The driver's connection of a connection of the engine's pool."""
        with _readable_errors():
            pooled = engine.raw_connection()
        try:
            yield pooled.driver_connection
        except engine.dialect.loaded_dbapi.OperationalError as error:
            pooled.invalidate(error)
            raise Unavailable(f"The database does not answer: {error}") from error
        finally:
            pooled.close()

    def close(self) -> None:
        self.engine.dispose()
        self.autocommitting.dispose()


def execute(db: Session, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any]:
    """Flush the session, then execute a statement without the ORM, which takes a third of the time.

    Objects of the session are not updated.
    """
    db.flush()
    return db.connection().execute(statement, values)


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"The database does not answer: {error.orig}") from error
    except PoolTimeout as error:
        raise Unavailable("All connections to the database are in use. Try again.") from error


def _engine(settings: Settings) -> Engine:
    if not settings.is_sqlite:
        return _postgresql(settings, pool_size=16, max_overflow=32)
    engine = create_engine(settings.database, pool_size=16, max_overflow=32, connect_args=SQLITE)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(settings: Settings, **given: Any) -> Engine:
    engine = create_engine(settings.database, connect_args=_patience(settings), **given)
    event.listen(engine, "checkin", _note_idle)
    event.listen(engine, "checkout", partial(_check_idle, engine.dialect))
    return engine


def _patience(settings: Settings) -> dict[str, Any]:
    """Timeouts, so that a lost connection does not delay the heartbeat of a run for minutes."""
    chosen = settings.database.query
    return {name: value for name, value in PATIENCE.items() if name not in chosen}


def _read_only(engine: Engine) -> Engine:
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{READ_ONLY: True})
    # with READ COMMITTED each statement has its own view anyway, so BEGIN and ROLLBACK are saved
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _note_idle(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    record.info[IDLE_SINCE] = time.monotonic()


def _check_idle(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _: object
) -> None:
    """Test a connection before it is used, unless it was used just now."""
    if time.monotonic() - record.info.get(IDLE_SINCE, math.inf) < PING_AFTER_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we send BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
