"""What commands print: aligned columns for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import click

from client.text import harmless, printable

Item = Mapping[str, Any]
# A title, and the field that is below it (`key.name` inside of another one), or what makes it.
Columns = Mapping[str, str | Callable[[Item], object]]

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


class Show(Protocol):
    """How a command answers: for people, or for programs."""

    most: int | None  # items of a list that are shown; None: all

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


class _Limited:
    """Lists that end after so many items."""

    most: int | None = None

    @contextmanager
    def _first(self, items: Iterable[Item]) -> Iterator[Iterator[Item]]:
        """The first `most` of them; afterwards standard error says when there are more."""
        rest = iter(items)
        yield islice(rest, self.most)
        if self.most is not None and next(rest, None) is not None:
            click.echo(f"There are more than {self.most}: see --limit.", err=True)


class Plain(_Limited):
    """For people, and for what reads lines: everything in full, times in UTC."""

    def rows(self, items: Iterable[Item], columns: Columns) -> None:
        with self._first(items) as first:
            for line in self.table(list(columns), values_of(columns, first)):
                click.echo(line)

    def table(self, titles: Sequence[str], values: Sequence[Sequence[object]]) -> list[str]:
        return aligned(titles, values)

    def item(self, item: Item, columns: Columns, text: str = "") -> None:
        width = max(len(title) for title in columns) + 1
        for title, of in columns.items():
            said = self.cell(title, _value(item, of))
            click.echo(f"{title + ':':<{width}} {said}".rstrip())
        if text:
            click.echo(f"\n{harmless(text)}", nl=not text.endswith("\n"))

    def cell(self, title: str, value: object) -> str:  # noqa: ARG002 a terminal's has colours
        return cell(value)

    def text(self, item: object, text: str) -> None:  # noqa: ARG002 programs want it
        click.echo(text, nl=not text.endswith("\n"))

    def note(self, line: str) -> None:
        click.echo(harmless(line), err=True)  # so that the output can be redirected to a file


class Json(_Limited):
    def rows(self, items: Iterable[Item], columns: Columns) -> None:  # noqa: ARG002 all fields
        with self._first(items) as first:
            for item in first:
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
    if isinstance(value, str) and MOMENT.fullmatch(value):
        return f"{value[:10]} {value[11:19]}Z"
    if isinstance(value, list):
        return " ".join(cell(part) for part in value)
    return printable(str(value))


def values_of(columns: Columns, items: Iterable[Item]) -> list[list[object]]:
    """The rows of a table, not yet as text."""
    return [[_value(item, of) for of in columns.values()] for item in items]


def aligned(titles: Sequence[str], values: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table, its titles first."""
    lines = [[title.upper() for title in titles], *[[cell(v) for v in row] for row in values]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = to_the_right(titles, values)
    return ["  ".join(padded(line, widths, right)).rstrip() for line in lines]


def padded(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    return [
        text.rjust(width) if number else text.ljust(width)
        for text, width, number in zip(line, widths, right, strict=True)
    ]


def to_the_right(titles: Sequence[str], values: Sequence[Sequence[object]]) -> list[bool]:
    """Which columns have numbers only."""
    return [_is_number(column) for column in zip(*values, strict=True)] or [False] * len(titles)


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
