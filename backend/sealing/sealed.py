"""All sealed objects of the database, by table: find the key that wraps each, and wrap it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Select,
    Table,
    bindparam,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from backend.errors import Unreadable
from backend.models import (
    AuditKey,
    Base,
    Canary,
    Drift,
    Key,
    LogChunk,
    PlanDocument,
    PlanPiece,
    ProofKey,
    RescuedWrite,
    StateVersion,
    Variable,
)
from backend.sealing import bindings, crypto
from backend.sealing.keyring import Envelope, Keyring
from backend.sealing.packed import WRAPPED

UNKNOWN = "?"  # instead of the id of a key: the value has an unknown format
PAGE = 500

RowKey = tuple[Any, ...]  # the primary key of a row

_HEAD = 2 + 64 + WRAPPED  # the bytes of a packed value that contain the id of its key


@dataclass(frozen=True, slots=True)
class Found:
    """One sealed object, and the id of the key that wraps its data key."""

    place: RowKey
    key_id: str


@dataclass(frozen=True, slots=True)
class Unopened:
    """A sealed object that cannot be opened, and the reason."""

    table: str
    id: str
    reason: str


class Shelf(Protocol):
    """One kind of sealed objects: a table."""

    name: str
    at_once: int  # objects that one transaction wraps again

    def after(self, db: Session, place: RowKey | None, limit: int) -> Sequence[Found]:
        """The next objects by primary key after a place, or the first ones after None."""
        ...

    def rewrap(self, db: Session, keyring: Keyring, places: Sequence[RowKey]) -> list[Unopened]:
        """Wrap these with the current key. Those that cannot be opened are returned, unchanged.

        Rows that another transaction has locked are skipped, and concurrent changes are kept.
        """
        ...


class Documents:
    """State documents: the wrapped key has its own column, and the body is not touched."""

    at_once = 50  # takes a few milliseconds, in which nobody else can write on SQLite

    def __init__(self, model: type[StateVersion | RescuedWrite]) -> None:
        self.table = _table(model)
        self.name = self.table.name
        columns = self.table.c
        self.kept = columns.wrapped_key != b""  # a removed document has no key
        self._set = (
            update(self.table)
            .where(columns.id == bindparam("at"), columns.wrapped_key == bindparam("old"))
            .values(key_id=bindparam("new_id"), wrapped_key=bindparam("new"))
        )

    def after(self, db: Session, place: RowKey | None, limit: int) -> Sequence[Found]:
        at = self.table.c.id
        query = select(at, self.table.c.key_id).where(self.kept).order_by(at).limit(limit)
        if place is not None:
            query = query.where(at > place[0])
        return [Found((found,), key_id) for found, key_id in db.execute(query)]

    def rows(self, places: Sequence[RowKey], *more: str) -> Select[Any]:
        """A query of these rows with the columns that opening needs, and more columns."""
        names = ["id", "state_id", "lineage", "serial", "key_id", "wrapped_key", *more]
        if "number" in self.table.c:
            names.append("number")
        wanted = self.table.c.id.in_([place[0] for place in places])
        return select(*(self.table.c[name] for name in names)).where(wanted, self.kept)

    def rewrap(self, db: Session, keyring: Keyring, places: Sequence[RowKey]) -> list[Unopened]:
        changes: list[dict[str, Any]] = []
        unopened = []
        for row in db.execute(_unlocked(self.rows(places))):
            try:
                new = keyring.rewrap(envelope(row), binding(row))
            except Unreadable as error:
                unopened.append(Unopened(self.name, row.id, error.message))
            else:
                old = {"at": row.id, "old": row.wrapped_key}
                changes.append({**old, "new_id": new.key_id, "new": new.wrapped_key})
        if changes:
            db.connection().execute(self._set, changes)
        return unopened


def envelope(row: Row[Any]) -> Envelope:
    return Envelope(row.key_id, row.wrapped_key)


def binding(row: Row[Any]) -> bytes:
    """The binding of a state version or a rescued write, which has no number."""
    number = getattr(row, "number", None)
    return bindings.document(row.state_id, number, row.lineage, row.serial)


class Values:
    """Packed values: one column has the wrapped key and the body."""

    at_once = 16  # a piece of a log has up to 256 KiB

    def __init__(
        self, model: type[Base], column: str, bound: Callable[..., bytes], *places: str
    ) -> None:
        table = _table(model)
        self.name = table.name
        self.bound = bound
        self._value = table.c[column]
        self._places = [table.c[name] for name in places]
        here = [place == bindparam(f"at_{place.name}") for place in self._places]
        self._set = (
            update(table)
            .where(*here, self._value == bindparam("old"))
            .values({column: bindparam("new")})
        )

    def after(self, db: Session, place: RowKey | None, limit: int) -> Sequence[Found]:
        head = func.substr(self._value, 1, _HEAD)
        query = select(*self._places, head).where(self._value.is_not(None))
        if place is not None:
            query = query.where(_tuple(self._places) > _plain(place))
        rows = db.execute(query.order_by(*self._places).limit(limit))
        return [Found(tuple(at), _key_id(value)) for *at, value in rows]

    def rows(self, places: Sequence[RowKey]) -> Select[Any]:
        """A query of these rows with their primary keys, and the value as the last column."""
        wanted = _tuple(self._places).in_([_plain(place) for place in places])
        return select(*self._places, self._value).where(wanted, self._value.is_not(None))

    def rewrap(self, db: Session, keyring: Keyring, places: Sequence[RowKey]) -> list[Unopened]:
        changes = []
        unopened = []
        for *at, old in db.execute(_unlocked(self.rows(places))):
            try:
                new = crypto.rewrap_value(keyring, old, self.bound(*at))
            except Unreadable as error:
                unopened.append(Unopened(self.name, text_of(at), error.message))
            else:
                named = {f"at_{c.name}": part for c, part in zip(self._places, at, strict=True)}
                changes.append({**named, "old": old, "new": new})
        if changes:
            db.connection().execute(self._set, changes)
        return unopened


def pages(db: Session, shelf: Shelf, place: RowKey | None = None) -> Iterator[Sequence[Found]]:
    """All objects of a shelf after a place. It may miss objects that are added in the meantime."""
    while found := shelf.after(db, place, PAGE):
        yield found
        place = found[-1].place


def text_of(place: Iterable[Any]) -> str:
    """A primary key as text for people."""
    return ":".join(map(str, place))


def _table(model: type[Base]) -> Table:
    return cast("Table", model.__table__)


def _unlocked(rows: Select[Any]) -> Select[Any]:
    """Lock the rows until the end of the transaction, and skip rows that others have locked.

    It never waits, so it cannot cause a deadlock. (SQLite has only one writer anyway.)
    """
    return rows.with_for_update(skip_locked=True, key_share=True)


def _tuple(columns: Sequence[Column[Any]]) -> ColumnElement[Any]:
    return columns[0] if len(columns) == 1 else tuple_(*columns)


def _plain(place: RowKey) -> Any:
    return place[0] if len(place) == 1 else place


def _key_id(head: bytes) -> str:
    try:
        return crypto.value_key_id(bytes(head))
    except Unreadable:
        return UNKNOWN


SHELVES: tuple[Documents | Values, ...] = (
    Values(Canary, "sealed", lambda _: bindings.CANARY, "id"),
    Values(AuditKey, "sealed", lambda _: bindings.AUDIT_KEY, "id"),
    Values(ProofKey, "sealed", lambda _: bindings.PROOF_KEY, "id"),
    Values(Key, "secret", bindings.key, "id"),
    Values(Variable, "value", bindings.variable, "id"),
    Documents(StateVersion),
    Documents(RescuedWrite),
    Values(LogChunk, "sealed", bindings.log, "run_id", "start"),
    Values(PlanPiece, "sealed", bindings.plan, "run_id", "epoch", "number"),
    Values(Drift, "sealed", bindings.drift, "workspace_id"),
    Values(PlanDocument, "sealed", bindings.plan_document, "run_id", "epoch", "kind", "number"),
)
