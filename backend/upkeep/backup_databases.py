"""Open the database of a backup for reading, without changing it or any file beside it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine


@contextlib.contextmanager
def sqlite(path: Path) -> Iterator[Engine]:
    """The SQLite file of a backup. A write-ahead log beside it is read too, and not changed."""
    log = path.with_name(path.name + "-wal")
    with contextlib.ExitStack() as stack:
        if log.exists() and log.stat().st_size:  # SQLite can only read a log if it may write files
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for source in (path, log):
                shutil.copyfile(source, folder / source.name)
            address = f"file:{quote(str(folder / path.name))}"
        else:
            address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
        engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True))
        stack.callback(engine.dispose)
        yield engine


@contextlib.contextmanager
def postgresql(url: URL) -> Iterator[Engine]:
    """A restored dump, or the database itself, in read-only transactions."""
    options = {"options": "-c default_transaction_read_only=on"}
    engine = create_engine(url, connect_args=options)
    try:
        yield engine
    finally:
        engine.dispose()
