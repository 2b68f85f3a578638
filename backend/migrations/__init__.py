"""The schema's history, applied by Alembic."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

VERSIONS = Path(__file__).parent / "versions"
LOCK = 0x5747_4154  # any number that only we use


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version. Several processes may call it at once."""
    if is_newest(engine):
        return
    from backend.migrations import history  # noqa: PLC0415 it imports Alembic

    with engine.connect() as connection, _tables_may_be_made_anew(connection), connection.begin():
        one_at_a_time(connection)
        history.upgrade(connection)


def is_newest(engine: Engine) -> bool:
    """Whether the schema is this version's. One without any schema is not."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return found == [newest()]


def newest() -> str:
    """The newest version of the schema. The file of a version begins with its name."""
    return max(step.name.split("_")[0] for step in VERSIONS.glob("[0-9]*_*.py"))


@contextmanager
def _tables_may_be_made_anew(connection: Connection) -> Iterator[None]:
    """Turn foreign keys off: SQLite changes a column by creating its table again."""
    if connection.dialect.name != "sqlite":
        yield
        return
    sqlite: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    sqlite.execute("PRAGMA foreign_keys=OFF")  # without effect inside a transaction
    try:
        yield
    finally:
        sqlite.execute("PRAGMA foreign_keys=ON")


def one_at_a_time(connection: Connection) -> None:
    """Wait for other processes that prepare this database, until the transaction's end.

    On SQLite every writer waits for the others anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
