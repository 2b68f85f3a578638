"""Express statements: SQLAlchemy statements, compiled once and executed on the driver's connection.

SQLite executes a small statement in a tenth of the time that SQLAlchemy's Session needs for it.
This is used for the few statements of every state protocol request, and for nothing else.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect
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
        """Insert or update. On PostgreSQL an error may only be raised at the commit."""
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
