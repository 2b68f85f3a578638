"""Get states and rescued writes out of a backup, without a server.

It changes nothing and needs no migration: it reads only columns that all versions of the schema
have.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, null, select
from sqlalchemy.exc import SQLAlchemyError

from backend.documents import intake
from backend.errors import Conflict, Error, NotFound, Unreadable
from backend.models import Project, RescuedWrite, State, StateVersion, Workspace
from backend.names import PATTERN
from backend.sealing import bindings
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Envelope, Keyring

MANIFEST = "_manifest.json"  # a name that no project can have


@dataclass(frozen=True)
class Wanted:
    """The states to recover. None means all of them, and of each the newest version."""

    project: str | None = None
    workspace: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Recovered:
    """A recovered state in the manifest. OpenTofu's own passphrase opens an `encrypted` one."""

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
class RecoveredWrite:
    """A rescued write in the manifest: it was refused because of `reason`, and is undecided."""

    project: str
    workspace: str
    rescued: str
    reason: str
    file: str
    serial: int | None
    lineage: str | None
    size: int
    md5: str
    deleted: bool
    written_at: str


@dataclass(frozen=True)
class Failed:
    """A version (by number) or a rescued write (by id) that could not be opened."""

    project: str
    workspace: str
    what: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What was recovered, and what could not be."""

    states: list[Recovered]
    rescued: list[RecoveredWrite]
    failed: list[Failed]


def recover(engine: Engine, blobs: Blobs, keyring: Keyring, folder: Path, wanted: Wanted) -> Found:
    """Write the states as PROJECT/WORKSPACE.tfstate into a new folder, with a manifest.

    Undecided rescued writes become PROJECT/WORKSPACE.rescued/ID.tfstate, unless a single version is
    wanted. Raises Conflict when the folder is not empty, NotFound when nothing matches, and
    Unreadable when it is not a database of Stateroom.
    """
    _make_empty(folder)
    found = Found([], [], [])
    with engine.connect() as connection:
        source = _Source(connection, blobs, keyring)
        for row in _rows(connection, wanted):
            try:
                if row.rescued is None:
                    found.states.append(_version(source, row, folder))
                else:
                    found.rescued.append(_rescued(source, row, folder))
            except Error as error:
                what = row.rescued or f"version {row.number}"
                found.failed.append(Failed(row.project, row.workspace, what, error.message))
    with _new_file(folder / MANIFEST) as descriptor:
        _write_all(descriptor, json.dumps(asdict(found), indent=2).encode() + b"\n")
    return found


def _rows(connection: Connection, wanted: Wanted) -> list[Row[Any]]:
    try:
        rows = [*connection.execute(_versions(wanted))]
        if wanted.version is None:
            rows += connection.execute(_undecided(wanted))
    except SQLAlchemyError as error:
        raise Unreadable(f"Not a database of Stateroom: {error.__cause__ or error}") from None
    if not rows:
        raise NotFound("There is no such state, or its versions were not kept.")
    return rows


def _versions(wanted: Wanted) -> Select[Any]:
    version = StateVersion.__table__.c
    number = State.current if wanted.version is None else wanted.version
    columns = (
        version.id, version.state_id, version.number, version.serial, version.lineage,
        version.terraform_version, version.encrypted, version.size, version.md5, version.sha256,
        version.created_at, version.key_id, version.wrapped_key, version.blob,
    )  # fmt: skip
    query = _of_states(wanted, *columns, null().label("rescued"))
    return query.join(
        StateVersion, (version.state_id == State.id) & (version.number == number)
    ).where(version.wrapped_key != b"")  # a removed version has no body


def _undecided(wanted: Wanted) -> Select[Any]:
    write = RescuedWrite.__table__.c
    columns = (
        write.id, write.state_id, null().label("number"), write.serial, write.lineage, write.reason,
        write.size, write.md5, null().label("sha256"), write.created_at, write.key_id,
        write.wrapped_key, write.blob,
    )  # fmt: skip
    query = _of_states(wanted, *columns, write.id.label("rescued")).order_by(write.id)
    return query.join(RescuedWrite, write.state_id == State.id).where(write.wrapped_key != b"")


def _of_states(wanted: Wanted, *columns: ColumnElement[Any]) -> Select[Any]:
    query = (
        select(
            Project.name.label("project"), Workspace.name.label("workspace"), State.deleted_at,
            *columns,
        )
        .select_from(State)
        .join(Project, Project.id == State.project_id)
        .join(Workspace, Workspace.id == State.workspace_id)
        .order_by(Project.name, Workspace.name)
    )  # fmt: skip
    if wanted.project is not None:
        query = query.where(Project.name == wanted.project)
    if wanted.workspace is not None:
        query = query.where(Workspace.name == wanted.workspace)
    return query


@dataclass(frozen=True)
class _Source:
    connection: Connection
    blobs: Blobs
    keyring: Keyring

    def pieces(self, row: Row[Any]) -> Iterator[bytes]:
        """The body in clear. Raises Unreadable."""
        aad = bindings.document(row.state_id, row.number, row.lineage, row.serial)
        data_key = self.keyring.unwrap(Envelope(row.key_id, row.wrapped_key), aad)
        table = (StateVersion if row.rescued is None else RescuedWrite).__table__
        sealed = self.connection.scalar(select(table.c.sealed).where(table.c.id == row.id))
        return intake.download(data_key, sealed, row.blob, self.blobs)


def _version(source: _Source, row: Row[Any], folder: Path) -> Recovered:
    """Write a version. Raises Unreadable, and leaves no file, when it cannot be opened."""
    file = Path(_safe(row.project)) / f"{_safe(row.workspace)}.tfstate"
    _write(folder, file, source.pieces(row), row)
    return Recovered(
        **_facts(row, file),
        version=row.number,
        terraform_version=row.terraform_version,
        sha256=row.sha256.hex(),
        encrypted=row.encrypted,
    )


def _rescued(source: _Source, row: Row[Any], folder: Path) -> RecoveredWrite:
    """Write a rescued write. Raises Unreadable as `_version` does."""
    beside = f"{_safe(row.workspace)}.rescued"
    file = Path(_safe(row.project)) / beside / f"{_safe(row.rescued)}.tfstate"
    _write(folder, file, source.pieces(row), row)
    return RecoveredWrite(**_facts(row, file), rescued=row.rescued, reason=row.reason)


def _facts(row: Row[Any], file: Path) -> dict[str, Any]:
    """The fields that both kinds have in the manifest."""
    return {
        "project": row.project,
        "workspace": row.workspace,
        "file": str(file),
        "serial": row.serial,
        "lineage": row.lineage,
        "size": row.size,
        "md5": row.md5.hex(),
        "deleted": row.deleted_at is not None,
        "written_at": row.created_at.isoformat(),
    }


def _write(folder: Path, file: Path, pieces: Iterator[bytes], row: Row[Any]) -> None:
    for above in reversed(file.parents):
        (folder / above).mkdir(mode=0o700, exist_ok=True)
    with _new_file(folder / file) as descriptor:
        try:
            _write_checked(descriptor, pieces, row)
        except BaseException:  # never leave half a state, which looks like a whole one
            (folder / file).unlink()
            raise


def _write_checked(descriptor: int, pieces: Iterator[bytes], row: Row[Any]) -> None:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for piece in pieces:
        md5.update(piece)
        sha256.update(piece)
        _write_all(descriptor, piece)
    if (md5.digest(), sha256.digest()) != (row.md5, row.sha256 or sha256.digest()):
        raise Unreadable("The content differs from the hashes in its row.")


def _safe(name: str) -> str:
    """Check that a name from a backup does not lead out of the folder. Raises Unreadable."""
    if not re.fullmatch(PATTERN[1:-1], name):
        raise Unreadable(f"{name!r} is not a valid name.")
    return name


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Conflict(f"{folder} is not empty: choose a new folder.")


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
