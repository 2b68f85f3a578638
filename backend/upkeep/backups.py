"""Back up a running installation. The copy is enough to restore everything.

The database is copied first. The files that its rows name are then still there, because files stay
in the blobs folder for a day after their removal.
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
DUMP = "stateroom.dump"  # the output of pg_dump
DUMP_MAX_AGE_SECONDS = 12 * 3600.0  # half of the day for which a removed file stays
PIECE = 1 << 20

_NAMED = "SELECT blob FROM {} WHERE blob IS NOT NULL AND wrapped_key != x''"


@dataclass
class Backup:
    """What was copied. `missing` and `damaged` files are so in the installation itself."""

    folder: Path
    files: int = 0
    missing: set[str] = field(default_factory=set)
    damaged: set[str] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        return not self.missing and not self.damaged


def of_sqlite(here: Installation, folder: Path) -> Backup:
    """Copy the database at one moment, then the files that its rows name, durably.

    Raises Conflict when the folder is not empty.
    """
    _make_empty(folder)
    backup = Backup(folder)
    source = Path(here.settings.database.database or "")
    while True:
        _copy_database(source, folder / DATABASE)
        before, backup.missing = backup.missing, set()
        _copy_files(here.blobs, _named_by(folder / DATABASE), backup)
        # try again: a file that is missing although the current database names it is really lost
        if backup.missing <= before:
            break
    sync_folder(folder)
    return backup


def of_postgresql(here: Installation, folder: Path) -> Backup:
    """Copy the files that the database names, after pg_dump has written its dump into the folder.

    Raises Conflict when the dump is missing or too old, or the folder has a backup already.
    """
    dump = folder / DUMP
    if not dump.is_file():
        raise Conflict(
            "Dump the PostgreSQL database first: "
            f"pg_dump --format=custom --file={dump} YOUR-DATABASE-URL"
        )
    if time.time() - dump.stat().st_mtime > DUMP_MAX_AGE_SECONDS:
        raise Conflict(
            f"{dump} is older than 12 hours, and files that it names may be gone. Dump again."
        )
    if (folder / "blobs").exists():
        raise Conflict(f"There is already a backup in {folder}: choose another folder.")
    backup = Backup(folder)
    named = set(_named_now(here))  # what is written from now on is not in the dump
    _copy_files(here.blobs, here.blobs.names(), backup)
    backup.missing = named & set(_named_now(here)) - set(Blobs(folder / "blobs").names())
    sync_folder(folder)
    return backup


def add_keyring(here: Installation, folder: Path) -> Path:
    """Copy the keyring into the folder. Who has the folder can then read everything."""
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
            original.backup(copy)  # all pages in one step, so that the copy is consistent
        copy.execute("PRAGMA journal_mode=DELETE")  # so that the copy is one file
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
    """Copy a file and return the SHA-256 of its content. An intact file has it as its name."""
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
