"""States and refused writes out of a backup, when the server is gone: read-only, unmigrated.

It reads only the columns that every schema has had.
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

MANIFEST = "_manifest.json"  # no project can have that name


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
class RecoveredWrite:
    """A write that was refused (`reason`), and that nobody decided on: it is no version."""

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
    """What did not open: a version by its number, or a rescued write by its id."""

    project: str
    workspace: str
    what: str
    reason: str


@dataclass(frozen=True)
class Found:
    """What was written into the folder, and what was not."""

    states: list[Recovered]
    rescued: list[RecoveredWrite]
    failed: list[Failed]


def recover(engine: Engine, blobs: Blobs, keyring: Keyring, folder: Path, wanted: Wanted) -> Found:
    """Write the states as PROJECT/WORKSPACE.tfstate into a new folder, and a manifest.

    Rescued writes that wait for a decision go to PROJECT/WORKSPACE.rescued/ID.tfstate, unless one
    version is wanted. Raises Conflict when something is in the folder, NotFound when nothing is as
    wanted, and Unreadable when it is no database of ours.
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
        raise Unreadable(f"It is no database of Stateroom: {error.__cause__ or error}") from None
    if not rows:
        raise NotFound("There is no such state with a version that was kept.")
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
    ).where(version.wrapped_key != b"")  # the body of a removed one is gone


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
        """The body in clear. Raises Unreadable when it does not open."""
        aad = bindings.document(row.state_id, row.number, row.lineage, row.serial)
        data_key = self.keyring.unwrap(Envelope(row.key_id, row.wrapped_key), aad)
        table = (StateVersion if row.rescued is None else RescuedWrite).__table__
        sealed = self.connection.scalar(select(table.c.sealed).where(table.c.id == row.id))
        return intake.download(data_key, sealed, row.blob, self.blobs)


def _version(source: _Source, row: Row[Any], folder: Path) -> Recovered:
    """Raises Unreadable when it does not open, or is not what its row says: no file is left."""
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
    """Raises Unreadable like `_version`."""
    beside = f"{_safe(row.workspace)}.rescued"
    file = Path(_safe(row.project)) / beside / f"{_safe(row.rescued)}.tfstate"
    _write(folder, file, source.pieces(row), row)
    return RecoveredWrite(**_facts(row, file), rescued=row.rescued, reason=row.reason)


def _facts(row: Row[Any], file: Path) -> dict[str, Any]:
    """What the manifest says of either."""
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
        except BaseException:  # whatever stopped it: half a state looks like a state
            (folder / file).unlink()
            raise


def _write_checked(descriptor: int, pieces: Iterator[bytes], row: Row[Any]) -> None:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for piece in pieces:
        md5.update(piece)
        sha256.update(piece)
        _write_all(descriptor, piece)
    if (md5.digest(), sha256.digest()) != (row.md5, row.sha256 or sha256.digest()):
        raise Unreadable("It opens, but its hashes are not those of its row.")


def _safe(name: str) -> str:
    """A backup comes from elsewhere: no name of it leads out of the folder. Raises Unreadable."""
    if not re.fullmatch(PATTERN[1:-1], name):
        raise Unreadable(f"{name!r} cannot be a name of ours.")
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
