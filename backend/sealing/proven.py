"""Proven rows: they get their proofs when a session writes them, and keep none that was wrong.

Every change of what decides raises the row's `revision`. The change's entry in the audit log names
the new one (`rows`), so that a row that was put back from an older copy is found: its proof fits,
but the log knows a later revision.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    event,
    inspect,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapper, Session, object_session

from backend.models import (
    Alias,
    Key,
    Member,
    Plan,
    Proven,
    RescuedWrite,
    State,
    Token,
    User,
    Variable,
)
from backend.sealing.proofs import Proofs, covered, reader, reference

MODELS: tuple[type[Proven], ...] = (
    *(Variable, Key, Token, User, Member, Alias, State, RescuedWrite, Plan),
)
PROOFS, CHANGED = "proofs", "changed_rows"  # in the `info` of a session

log = structlog.get_logger()


def proofs_of(db: Session) -> Proofs:
    return db.info.get(PROOFS) or Proofs()


def check(db: Session, row: Proven) -> None:
    """Raise Unreadable `row-changed` unless Stateroom itself wrote this row."""
    proofs_of(db).check(row)


def take_changed(db: Session) -> dict[str, int]:
    """The rows that this transaction has changed since the last call, and their revisions."""
    changed: dict[str, int] = db.info.pop(CHANGED, {})
    return changed


def delete_all(db: Session, model: type[Proven], *which: Any) -> None:
    """Delete these rows by one statement, and note them for the audit log."""
    table = _table(model)
    gone = db.execute(select(*_key(table, model), table.c.revision).where(*which))
    for *key, revision in gone:
        _note(db, "/".join(map(str, key)), revision + 1)
    db.execute(table.delete().where(*which))


def accept(db: Session, model: type[Proven], *which: Any) -> int:
    """Give these rows proofs as they are now. Returns how many there are.

    For what a person has looked at, and for rows from before there were proofs.
    """
    table = _table(model)
    place = _key(table, model)
    rows = db.execute(_rows(table, model).where(*which).with_for_update()).all()
    for row in rows:
        key = [getattr(row, name) for name in model.KEY]
        revision = max(row.revision + 1, _moment())  # above what the audit log knows of it
        values = (revision, *reader(model)(row)[1:])
        here = and_(*(column == value for column, value in zip(place, key, strict=True)))
        made = proofs_of(db).of(model, values)
        db.execute(update(table).where(here).values(revision=revision, proof=made))
        _note(db, "/".join(map(str, key)), revision)
    return len(rows)


def prove_some(db: Session, model: type[Proven], limit: int) -> int:
    """Give some rows proofs that have none, and return how many. 0 means that all have one."""
    table = _table(model)
    query = _rows(table, model).where(table.c.proof.is_(None)).limit(limit)
    rows = db.execute(query.with_for_update()).all()
    for row in rows:
        key = zip(_key(table, model), (getattr(row, name) for name in model.KEY), strict=True)
        made = proofs_of(db).of(model, reader(model)(row))
        here = and_(*(column == value for column, value in key))
        db.execute(update(table).where(here).values(proof=made))
    return len(rows)


def page(db: Session, model: type[Proven], after: tuple[Any, ...] | None, limit: int) -> list[Any]:
    """The next rows after a primary key, with the columns that decide and the proof."""
    table = _table(model)
    key = _key(table, model)
    query = _rows(table, model).order_by(*key).limit(limit)
    if after is not None:
        query = query.where(tuple_(*key) > after)
    return list(db.execute(query))


def one(db: Session, model: type[Proven], name: str) -> Any | None:
    """The row with this primary key as text."""
    return db.execute(_rows(_table(model), model).where(*at(model, name))).one_or_none()


def at(model: type[Proven], name: str) -> list[ColumnElement[bool]]:
    """The conditions for the row with this primary key as text."""
    key = zip(_key(_table(model), model), name.split("/"), strict=False)
    return [column == part for column, part in key]


def _table(model: type[Proven]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def _key(table: Table, model: type[Proven]) -> list[Any]:
    return [table.c[name] for name in model.KEY]


def _rows(table: Table, model: type[Proven]) -> Select[Any]:
    names = dict.fromkeys([*model.KEY, *covered(model), "proof"])
    return select(*(table.c[name] for name in names))


def _moment() -> int:
    return time.time_ns() // 1_000_000


def _note(db: Session, name: str, revision: int) -> None:
    db.info.setdefault(CHANGED, {})[name] = revision


def _inserted(_mapper: Mapper[Any], _connection: Connection, row: Proven) -> None:
    """Prove a new row. Its revision is above those of an earlier row with the same key."""
    db = _session(row)
    for name in type(row).PROVES:
        if getattr(row, name) is None:
            _take_default(row, name)
    row.revision = _moment()
    row.proof = proofs_of(db).of(type(row), reader(type(row))(row))


def _take_default(row: Proven, name: str) -> None:
    default: Any = _table(type(row)).c[name].default
    if default is not None:
        setattr(row, name, default.arg(None) if default.is_callable else default.arg)


def _updated(_mapper: Mapper[Any], connection: Connection, row: Proven) -> None:
    """Prove a changed row, from what the database has and what is changed now.

    A row that was wrong before gets no proof: a change must not hide what somebody did to it.
    """
    db, model = _session(row), type(row)
    attributes = inspect(row).attrs
    changed = [name for name in model.PROVES if attributes[name].history.has_changes()]
    if not changed:
        return
    table = _table(model)
    here = [table.c[name] == getattr(row, name) for name in model.KEY]
    stored = connection.execute(_rows(table, model).where(*here).with_for_update()).one()
    if not proofs_of(db).fits(model, reader(model)(stored), stored.proof):
        log.error("changed_row_not_proven", table=table.name, id=reference(row))
        return
    row.revision = stored.revision + 1
    values = stored._asdict() | {name: getattr(row, name) for name in (*changed, "revision")}
    row.proof = proofs_of(db).of(model, reader(model)(_Values(values)))
    _note(db, reference(row), row.revision)


class _Values:
    """Values by name, as the attributes of an object."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def _deleted(_mapper: Mapper[Any], _connection: Connection, row: Proven) -> None:
    _note(_session(row), reference(row), row.revision + 1)


def _session(row: Proven) -> Session:
    db = object_session(row)
    if db is None:
        raise RuntimeError("A row is written by a session.")
    return db


def _listen(models: Iterable[type[Proven]]) -> None:
    for model in models:
        event.listen(model, "before_insert", _inserted)
        event.listen(model, "before_update", _updated)
        event.listen(model, "before_delete", _deleted)


_listen(MODELS)
