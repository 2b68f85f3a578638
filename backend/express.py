"""Express statements: SQLAlchemy statements, compiled once and executed on the driver's connection.

SQLite executes a small statement in a tenth of the time that SQLAlchemy's Session needs for it.
This is used for the few statements of every state protocol request, and for nothing else.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Insert,
    Select,
    Update,
    bindparam,
    cast,
    exists,
    insert,
    select,
)
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Process = Callable[[Any], Any]


class Statement:
    """A select, insert or update. Its parameters must be `bindparam`s, and none may be a list."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def form(self, dialect: Dialect) -> _Form:
        """The statement compiled for this database."""
        found = self._forms.get(dialect.name)
        if found is None:
            found = self._forms[dialect.name] = _Form.of(self._statement, dialect)
        return found


@dataclass(frozen=True, slots=True)
class _Form:
    """`names` are the parameters in order, or empty if the database takes them by name."""

    text: str
    names: Sequence[str]
    given: Mapping[str, Any]
    binding: Mapping[str, Process]
    row: Callable[[Sequence[Any]], Any]

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect) -> _Form:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        binding = {
            compiled.bind_names[bind]: process
            for bind in compiled.bind_names
            if (process := _implementation(bind.type, dialect).bind_processor(dialect))
        }
        given = {
            name: binding[name](value) if name in binding else value
            for name, value in compiled.construct_params(_check=False).items()
        }
        return cls(
            str(compiled), compiled.positiontup or (), given, binding, _row(compiled, dialect)
        )

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """The parameters as the driver expects them. Raises KeyError for an unknown name."""
        bound = {**self.given}
        for name, value in values.items():
            process = self.binding.get(name)
            bound[name] = process(value) if process and value is not None else value
        return [bound[name] for name in self.names] if self.names else bound


@dataclass(frozen=True)
class NewRow:
    """A row to insert: `fixed` has expressions, all other columns are parameters.

    The parameter of a column is called PREFIX_COLUMN, so that several rows can be told apart.
    """

    model: Any
    prefix: str
    columns: Sequence[str]
    fixed: Mapping[str, ColumnElement[Any]]

    def insert(self) -> Insert:
        return insert(self.model).values(self._values())

    def insert_if(self, condition: ColumnElement[bool]) -> Insert:
        """For PostgreSQL, which needs the casts for parameters that are None."""
        table = self.model.__table__.columns
        values = self._values()
        row = select(*(cast(value, table[name].type) for name, value in values.items()))
        return insert(self.model).from_select(
            [*values], row.where(condition), include_defaults=False
        )

    def _values(self) -> dict[str, ColumnElement[Any]]:
        table = self.model.__table__.columns
        given: dict[str, ColumnElement[Any]] = {
            name: bindparam(f"{self.prefix}_{name}", type_=table[name].type)
            for name in self.columns
        }
        return {**given, **self.fixed}

    def parameters(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {f"{self.prefix}_{name}": value for name, value in row.items()}


class Guarded:
    """Changes that are made only if every guard finds its row.

    A guard locks the row that it finds, and is only asked when the guards before it found theirs.
    PostgreSQL gets all of it as one statement, because each round trip costs as much as a change.
    """

    def __init__(self, guards: Sequence[Select[Any]], changes: Sequence[Update | NewRow]) -> None:
        self.at_once = Statement(_at_once(guards, changes))
        self.guards = [Statement(guard) for guard in guards]
        self.changes = [
            Statement(change.insert()) if isinstance(change, NewRow) else Statement(change)
            for change in changes
        ]


def _at_once(guards: Sequence[Select[Any]], changes: Sequence[Update | NewRow]) -> Select[Any]:
    first, *others = guards
    passed = first.cte("guard_0")
    for at, guard in enumerate(others, 1):
        passed = guard.where(exists(select(passed.c[0]))).cte(f"guard_{at}")
    allowed = exists(select(passed.c[0]))
    made = []
    for at, change in enumerate(changes):
        if isinstance(change, NewRow):
            guarded: Any = change.insert_if(allowed)
        else:
            guarded = change.where(allowed)
        made.append(guarded.cte(f"change_{at}"))
    return select(passed.c[0]).add_cte(*made)


class Bare:
    """The driver's connection, which executes such statements."""

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    def one(self, statement: Statement, values: Mapping[str, Any]) -> Any:
        """The only row, with its columns as attributes, or None."""
        form = statement.form(self._dialect)
        found = self._connection.execute(form.text, form.parameters(values)).fetchone()
        return None if found is None else form.row(found)

    def change(self, statement: Statement, values: Mapping[str, Any]) -> None:
        form = statement.form(self._dialect)
        self._connection.execute(form.text, form.parameters(values))


def _row(compiled: SQLCompiler, dialect: Dialect) -> Callable[[Sequence[Any]], Any]:
    columns = [(entry.keyname, entry.type) for entry in compiled._result_columns]  # noqa: SLF001 no other way
    if not columns:
        return tuple
    row_class: Any = namedtuple("Row", [name for name, _ in columns])  # type: ignore[misc]  # noqa: PYI024 its names are the statement's
    make = row_class._make
    processed = [
        (at, process)
        for at, (_, kind) in enumerate(columns)
        if (process := _implementation(kind, dialect).result_processor(dialect, None))
    ]

    def row(found: Sequence[Any]) -> Any:
        values = [*found]
        for at, process in processed:
            values[at] = process(values[at])
        return make(values)

    return row


def _implementation(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    return kind.dialect_impl(dialect)
