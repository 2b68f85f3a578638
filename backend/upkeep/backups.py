"""A copy of an installation that is enough to get everything back, made while it runs.

The database is copied first: what its rows name stays in the blobs folder for a day after it was
removed, and what is written later is not missed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from backend.errors import Conflict
from backend.models import RescuedWrite, StateVersion
from backend.sealing import keyring_file
from backend.sealing.blobs import Blobs
from backend.sealing.durable import sync_folder
from backend.transactions import Installation

DATABASE = "stateroom.db"
DUMP = "stateroom.dump"  # what pg_dump wrote
DUMP_MAX_AGE_SECONDS = 12 * 3600.0  # half of the day that a removed file stays
PIECE = 1 << 20

_NAMED = "SELECT blob FROM {} WHERE blob IS NOT NULL AND wrapped_key != x''"


@dataclass
class Backup:
    """What was copied. `missing` and `damaged` are files that the installation itself lacks."""

    folder: Path
    files: int = 0
    missing: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        return not self.missing and not self.damaged


def of_sqlite(here: Installation, folder: Path) -> Backup:
    """Copy the database as of one moment, then the files that its rows name, durably.

    Raises Conflict when something is in the folder already.
    """
    _make_empty(folder)
    backup = Backup(folder)
    source = Path(here.settings.database.database or "")
    while True:
        _copy_database(source, folder / DATABASE)
        before, backup.missing = backup.missing, set()
        _copy_files(here.blobs, _named_by(folder / DATABASE), backup)
        # what is missing again, although a newer database names it, is really lost
        if backup.missing <= before:
            break
    sync_folder(folder)
    return backup


def of_postgresql(here: Installation, folder: Path) -> Backup:
    """Copy the files after the database, which pg_dump has put into the folder.

    Raises Conflict when it has not, or too long ago, or when files were copied there before.
    """
    dump = folder / DUMP
    if not dump.is_file():
        raise Conflict(
            "PostgreSQL is dumped by its own tool, first: "
            f"pg_dump --format=custom --file={dump} YOUR-DATABASE-URL"
        )
    if time.time() - dump.stat().st_mtime > DUMP_MAX_AGE_SECONDS:
        raise Conflict(
            f"{dump} is older than 12 hours: files that it names may be gone. Dump anew."
        )
    if (folder / "blobs").exists():
        raise Conflict(f"There is a backup in {folder} already: take another folder.")
    backup = Backup(folder)
    _copy_files(here.blobs, here.blobs.names(), backup)
    backup.missing = set(_named_now(here)) - set(Blobs(folder / "blobs").names())
    sync_folder(folder)
    return backup


def add_keyring(here: Installation, folder: Path) -> Path:
    """Put the keyring beside the rest: whoever has the folder can then read everything."""
    copy = folder / "keyring"
    keyring_file.write_copy(copy, here.keyring.keys)
    return copy


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty: a backup never overwrites anything.")


def _copy_database(source: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.partial")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with contextlib.closing(sqlite3.connect(draft)) as copy:
        with contextlib.closing(sqlite3.connect(source)) as original:
            original.execute("PRAGMA busy_timeout=15000")
            original.backup(copy)  # all pages in one step: as of one moment
        copy.execute("PRAGMA journal_mode=DELETE")  # one file
    _sync(draft)
    draft.replace(target)


def _named_by(database: Path) -> Iterator[str]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        for table in ("state_versions", "rescued_writes"):
            for (name,) in connection.execute(_NAMED.format(table)):
                yield name


def _named_now(here: Installation) -> Iterator[str]:
    with here.database.reading() as db:
        for table in (StateVersion, RescuedWrite):
            kept = table.blob.is_not(None), table.wrapped_key != b""
            yield from (name for name in db.scalars(select(table.blob).where(*kept)) if name)


def _copy_files(blobs: Blobs, names: Iterable[str], backup: Backup) -> None:
    copies = Blobs(backup.folder / "blobs")
    copies.folder.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        copy = copies.path(name)
        if copy.exists():
            continue
        try:
            found = _copy(blobs.path(name), copy)
        except FileNotFoundError:
            backup.missing.add(name)
            continue
        backup.files += 1
        if found != name:
            backup.damaged.add(name)
    sync_folder(copies.folder)


def _copy(source: Path, copy: Path) -> str:
    """The SHA-256 of what was copied, which is the name of a file that is sound."""
    digest = hashlib.sha256()
    with source.open("rb") as original:
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        draft = copy.with_name(f".{copy.name}")
        with draft.open("wb") as target:
            while piece := original.read(PIECE):
                digest.update(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
    draft.replace(copy)
    sync_folder(copy.parent)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
