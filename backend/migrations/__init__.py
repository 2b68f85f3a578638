"""The schema's history, applied by Alembic."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

LOCK = 0x5747_4154  # any number that only we use


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version. Several processes may call it at once."""
    with engine.connect() as connection, _tables_may_be_made_anew(connection), connection.begin():
        one_at_a_time(connection)
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_newest(engine: Engine) -> bool:
    """Whether the schema is this version's. One without any schema is not."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found == ScriptDirectory.from_config(configuration()).get_current_head()


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


def configuration() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
