"""SQLite connections that wait for a lock in short turns, while other requests go on.

SQLite's own busy handler sleeps inside the library. With gevent one thread serves all requests, so
a lock that another process holds would stop them all, /healthz included. Here a statement that
finds the database locked fails at once and is repeated after a pause, in which other greenlets and
threads work.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from backend.errors import Unavailable

PATIENCE_SECONDS = 15.0  # then the error reaches the caller, who answers 503
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.025)  # about those of SQLite's busy handler
_LONGEST_PAUSE = 0.05
_PRIMARY = 0xFF  # the primary result code in an extended one

R = TypeVar("R")


class Connection(sqlite3.Connection):
    """Repeats a statement while the database is locked, for PATIENCE_SECONDS at most.

    SQLite has done nothing of a statement that fails so, and a COMMIT may be repeated. A
    transaction that has read must not begin to write: it would wait in vain. Ours begin with BEGIN
    IMMEDIATE if they write.
    """

    def execute(self, *given: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*given)
        except sqlite3.OperationalError as error:
            return _in_turns(super().execute, given, error)

    def commit(self) -> None:
        try:
            super().commit()
        except sqlite3.OperationalError as error:
            _in_turns(super().commit, (), error)

    def cursor(self, *_factory: Any) -> Any:
        return super().cursor(Cursor)


class Cursor(sqlite3.Cursor):
    """The same for the statements of a cursor."""

    def execute(self, *given: Any) -> Cursor:
        try:
            super().execute(*given)
        except sqlite3.OperationalError as error:
            _in_turns(super().execute, given, error)
        return self


def _in_turns(
    attempt: Callable[..., R], given: tuple[Any, ...], error: sqlite3.OperationalError
) -> R:
    """Repeat a statement that failed. Raises its error when it is another one, or lasts."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pauses = iter(_PAUSES)
    while _is_busy(error) and time.monotonic() < deadline:
        time.sleep(next(pauses, _LONGEST_PAUSE))
        try:
            return attempt(*given)
        except sqlite3.OperationalError as again:
            error = again
    raise error


def _is_busy(error: sqlite3.OperationalError) -> bool:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & _PRIMARY == sqlite3.SQLITE_BUSY


class Turn:
    """The turn of the process's one writer: a mutex between its threads is quicker than polling."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Raises Unavailable when the turn does not come in time."""
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            raise Unavailable("The database does not answer: it is locked by another process.")

    def __exit__(self, *_raised: object) -> None:
        self._lock.release()
