"""What commands print: aligned columns for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import click

from client.text import printable

Item = Mapping[str, Any]
# A title, and the field that is below it (`key.name` inside of another one), or what makes it.
Columns = Mapping[str, str | Callable[[Item], object]]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


class Show(Protocol):
    """How a command answers: for people, or for programs."""

    def rows(self, items: Iterable[Item], columns: Columns) -> None:
        """A list."""
        ...

    def item(self, item: Item, columns: Columns, text: str = "") -> None:
        """One thing; `columns` are all that people see of it, and a text below them."""
        ...

    def text(self, item: object, text: str) -> None:
        """One thing, of which people want just this text: a secret, or something to paste."""
        ...

    def note(self, line: str) -> None:
        """What a person should know beside it; programs do not see it."""
        ...


class Plain:
    def rows(self, items: Iterable[Item], columns: Columns) -> None:
        for line in aligned(columns, items):
            click.echo(line)

    def item(self, item: Item, columns: Columns, text: str = "") -> None:
        width = max(len(title) for title in columns) + 1
        for title, of in columns.items():
            click.echo(f"{title + ':':<{width}} {cell(_value(item, of))}".rstrip())
        if text:
            click.echo(f"\n{text}", nl=not text.endswith("\n"))

    def text(self, item: object, text: str) -> None:  # noqa: ARG002 programs want it
        click.echo(text, nl=not text.endswith("\n"))

    def note(self, line: str) -> None:
        click.echo(line, err=True)  # so that the output can be redirected to a file


class Json:
    def rows(self, items: Iterable[Item], columns: Columns) -> None:  # noqa: ARG002 all fields
        for item in items:
            click.echo(json.dumps(item))

    def item(self, item: Item, columns: Columns, text: str = "") -> None:  # noqa: ARG002 all fields
        click.echo(json.dumps(item))

    def text(self, item: object, text: str) -> None:  # noqa: ARG002 all fields
        click.echo(json.dumps(item))

    def note(self, line: str) -> None:
        """Say nothing."""


def cell(value: object) -> str:
    """A value as people read it: times in UTC to the second, - for nothing."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return f"{value[:10]} {value[11:19]}Z"
    if isinstance(value, list):
        return " ".join(cell(part) for part in value)
    return printable(str(value))


def aligned(columns: Columns, items: Iterable[Item]) -> list[str]:
    """The lines of a table, its titles first."""
    values = [[_value(item, of) for of in columns.values()] for item in items]
    return _aligned(list(columns), values)


def _aligned(titles: Sequence[str], values: Sequence[Sequence[object]]) -> list[str]:
    lines = [[title.upper() for title in titles], *[[cell(v) for v in row] for row in values]]
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [_is_number(column) for column in zip(*values, strict=True)] or [False] * len(titles)
    return [
        "  ".join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _is_number(column: Sequence[object]) -> bool:
    known = [value for value in column if value is not None]
    return bool(known) and all(type(value) is int for value in known)  # a bool is none


def _value(item: Item, of: str | Callable[[Item], object]) -> object:
    if callable(of):
        return of(item)
    found: Any = item
    for name in of.split("."):
        found = None if found is None else found.get(name)
    return found
