"""Verify that everything sealed can be opened, also while servers run, a few MB at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Row, select

from backend.db import Database
from backend.documents import intake
from backend.errors import Unreadable
from backend.models import Project, State, Workspace
from backend.sealing import crypto
from backend.sealing.sealed import (
    SHELVES,
    Documents,
    RowKey,
    Shelf,
    Unopened,
    Values,
    binding,
    envelope,
    pages,
    text_of,
)
from backend.transactions import Installation

Check = Callable[[Installation, Any, RowKey], None]


def verify(here: Installation, opened: Counter[str]) -> Iterator[Unopened]:
    """Open every body and compare its hashes. Yields those that cannot be opened.

    `opened` counts the others, by table.
    """
    return _each(here, opened, {Documents: _open_document, Values: _open_value})


def verify_keys(here: Installation, opened: Counter[str]) -> Iterator[Unopened]:
    """The same for the wrapped keys only, without reading any body."""
    return _each(here, opened, {Documents: _unwrap_document, Values: _unwrap_value})


def _each(
    here: Installation, opened: Counter[str], checks: dict[type[Any], Check]
) -> Iterator[Unopened]:
    for shelf in SHELVES:
        for place in _places(here.database, shelf):
            unopened = _attempt(here, shelf, place, checks[type(shelf)])
            if unopened is None:
                opened[shelf.name] += 1
            else:
                yield unopened


def _places(database: Database, shelf: Shelf) -> Iterator[RowKey]:
    place = None
    while True:
        with database.reading() as db:  # only briefly: a long reader would let SQLite's log grow
            page = next(pages(db, shelf, place), ())
        if not page:
            return
        yield from (found.place for found in page)
        place = page[-1].place


def _attempt(here: Installation, shelf: Shelf, place: RowKey, check: Check) -> Unopened | None:
    """Check an object, twice if it fails: it may have been removed or re-wrapped just now."""
    for _ in range(2):
        try:
            check(here, shelf, place)
        except Unreadable as error:
            unopened = Unopened(shelf.name, text_of(place), error.message)
        else:
            return None
    return unopened


def _open_document(here: Installation, shelf: Documents, place: RowKey) -> None:
    beside = [name for name in ("outputs",) if name in shelf.table.c]
    row = _row(here, shelf, place, "size", "md5", "sha256", "blob", "sealed", *beside)
    if row is None:
        return
    data_key = here.keyring.unwrap(envelope(row), binding(row))
    size, md5, sha256 = 0, hashlib.md5(usedforsecurity=False), hashlib.sha256()
    for piece in intake.download(data_key, row.sealed, row.blob, here.blobs):
        size += len(piece)
        md5.update(piece)
        sha256.update(piece)
    if (size, md5.digest()) != (row.size, row.md5) or row.sha256 not in {None, sha256.digest()}:
        raise Unreadable("The content differs from the size and hashes in its row.")
    if beside and row.outputs is not None:
        intake.open_outputs(data_key, row.outputs)


def _unwrap_document(here: Installation, shelf: Documents, place: RowKey) -> None:
    row = _row(here, shelf, place)
    if row is not None:
        here.keyring.unwrap(envelope(row), binding(row))


def _row(here: Installation, shelf: Documents, place: RowKey, *more: str) -> Row[Any] | None:
    """The row, or None if it was removed in the meantime."""
    with here.database.reading() as db:
        return db.execute(shelf.rows([place], *more)).one_or_none()


def _open_value(here: Installation, shelf: Values, place: RowKey) -> None:
    value = _value(here.database, shelf, place)
    if value is not None:
        crypto.open_value(here.keyring, value, shelf.bound(*place))


def _unwrap_value(here: Installation, shelf: Values, place: RowKey) -> None:
    value = _value(here.database, shelf, place)
    if value is not None:
        here.keyring.unwrap(crypto.Sealed.unpack(value).envelope, shelf.bound(*place))


def _value(database: Database, shelf: Values, place: RowKey) -> bytes | None:
    with database.reading() as db:
        row = db.execute(shelf.rows([place])).one_or_none()
    return None if row is None else bytes(row[-1])


def where(here: Installation, unopened: Unopened) -> str:
    """The project and workspace of a state document as text, or an empty text for anything else."""
    shelf = next(shelf for shelf in SHELVES if shelf.name == unopened.table)
    if not isinstance(shelf, Documents):
        return ""
    row = _row(here, shelf, (unopened.id,))
    if row is None:
        return ""
    named = (
        select(Project.name, Workspace.name)
        .select_from(State)
        .join(Workspace, Workspace.id == State.workspace_id)
        .join(Project, Project.id == State.project_id)
        .where(State.id == row.state_id)
    )
    with here.database.reading() as db:
        project, workspace = db.execute(named).one()
    number = getattr(row, "number", None)
    return f"{project}/{workspace}" + (f" version {number}" if number else " rescued write")
