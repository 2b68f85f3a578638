"""States out of a backup, when the server is gone: read-only, without a start or a migration.

It reads only the columns that every schema has had.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Row, Select, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from backend import bindings, upload
from backend.blobs import Blobs
from backend.errors import Conflict, Error, NotFound, Unreadable
from backend.keyring import Envelope, Keyring
from backend.models import Project, State, StateVersion, Workspace
from backend.names import PATTERN

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Wanted:
    """Which states; None: all of them, and of each the newest version."""

    project: str | None = None
    workspace: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Recovered:
    """One line of the manifest. `encrypted`: by OpenTofu itself; its own passphrase opens it."""

    project: str
    workspace: str
    version: int
    file: str
    serial: int | None
    lineage: str | None
    terraform_version: str | None
    size: int
    md5: str
    sha256: str
    encrypted: bool
    deleted: bool
    written_at: str


@dataclass(frozen=True)
class Failed:
    project: str
    workspace: str
    version: int
    reason: str


@contextlib.contextmanager
def sqlite(path: Path) -> Iterator[Engine]:
    """A backup's SQLite file. A write-ahead log beside it is read too, and left as it is."""
    log = path.with_name(path.name + "-wal")
    with contextlib.ExitStack() as stack:
        if log.exists() and log.stat().st_size:  # it can only be read by writing beside it
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
def postgresql(url: str) -> Iterator[Engine]:
    """A restored dump, or the database itself; nothing in it can be changed."""
    address = url.replace("postgresql://", "postgresql+psycopg://", 1)
    options = {"options": "-c default_transaction_read_only=on"}
    engine = create_engine(address, connect_args=options)
    try:
        yield engine
    finally:
        engine.dispose()


def recover(
    engine: Engine, blobs: Blobs, keyring: Keyring, folder: Path, wanted: Wanted
) -> tuple[list[Recovered], list[Failed]]:
    """Write the states as PROJECT/WORKSPACE.tfstate into a new folder, and a manifest.

    Raises Conflict when something is in the folder, NotFound when no state is as wanted, and
    Unreadable when it is no database of ours.
    """
    _make_empty(folder)
    recovered, failed = [], []
    with engine.connect() as connection:
        rows = _rows(connection, wanted)
        for row in rows:
            try:
                recovered.append(_recover(connection, row, blobs, keyring, folder))
            except Error as error:
                failed.append(Failed(row.project, row.workspace, row.number, error.message))
    told = {"states": list(map(asdict, recovered)), "failed": list(map(asdict, failed))}
    with _new_file(folder / MANIFEST) as descriptor:
        os.write(descriptor, json.dumps(told, indent=2).encode() + b"\n")
    return recovered, failed


def _rows(connection: Connection, wanted: Wanted) -> list[Row[tuple[object, ...]]]:
    try:
        rows = connection.execute(_query(wanted)).all()
    except SQLAlchemyError as error:
        raise Unreadable(f"It is no database of Stateroom: {error.__cause__ or error}") from None
    if not rows:
        raise NotFound("There is no such state with a version that was kept.")
    return list(rows)


def _query(wanted: Wanted) -> Select[tuple[object, ...]]:
    version = StateVersion.__table__.c
    number = State.current if wanted.version is None else wanted.version
    query = (
        select(
            Project.name.label("project"), Workspace.name.label("workspace"), State.deleted_at,
            version.id, version.state_id, version.number, version.serial, version.lineage,
            version.terraform_version, version.encrypted, version.size, version.md5,
            version.sha256, version.created_at, version.key_id, version.wrapped_key, version.blob,
        )
        .select_from(State)
        .join(Project, Project.id == State.project_id)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(StateVersion, (version.state_id == State.id) & (version.number == number))
        .where(version.wrapped_key != b"")  # the body of a removed one is gone
        .order_by(Project.name, Workspace.name)
    )  # fmt: skip
    if wanted.project is not None:
        query = query.where(Project.name == wanted.project)
    if wanted.workspace is not None:
        query = query.where(Workspace.name == wanted.workspace)
    return query


def _recover(
    connection: Connection, row: Row[Any], blobs: Blobs, keyring: Keyring, folder: Path
) -> Recovered:
    """Raises Unreadable when it does not open, or is not what its row says: no file is left."""
    file = folder / _safe(row.project) / f"{_safe(row.workspace)}.tfstate"
    aad = bindings.document(row.state_id, row.number, row.lineage, row.serial)
    data_key = keyring.unwrap(Envelope(row.key_id, row.wrapped_key), aad)
    body = select(StateVersion.__table__.c.sealed).where(StateVersion.__table__.c.id == row.id)
    pieces = upload.download(data_key, connection.scalar(body), row.blob, blobs)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    _write(file, pieces, row)
    return Recovered(
        project=row.project,
        workspace=row.workspace,
        version=row.number,
        file=str(file.relative_to(folder)),
        serial=row.serial,
        lineage=row.lineage,
        terraform_version=row.terraform_version,
        size=row.size,
        md5=row.md5.hex(),
        sha256=row.sha256.hex(),
        encrypted=row.encrypted,
        deleted=row.deleted_at is not None,
        written_at=row.created_at.isoformat(),
    )


def _write(file: Path, pieces: Iterator[bytes], row: Row[Any]) -> None:
    try:
        with _new_file(file) as descriptor:
            _write_checked(descriptor, pieces, row)
    except BaseException:  # whatever stopped it: half a state looks like a state
        file.unlink()
        raise


def _write_checked(descriptor: int, pieces: Iterator[bytes], row: Row[Any]) -> None:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for piece in pieces:
        md5.update(piece)
        sha256.update(piece)
        _write_all(descriptor, piece)
    if (md5.digest(), sha256.digest()) != (row.md5, row.sha256):
        raise Unreadable("It opens, but its hashes are not those of its row.")


def _safe(name: str) -> str:
    """A backup comes from elsewhere: no name of it leads out of the folder. Raises Unreadable."""
    if not re.fullmatch(PATTERN[1:-1], name):
        raise Unreadable(f"{name!r} cannot be the name of a project or a workspace.")
    return name


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty: nothing is ever overwritten.")


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(descriptor, left) :]
