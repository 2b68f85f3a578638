"""What a terminal shows: tables as wide as it is, times as people say them, statuses in colour."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from stateroom.tables import MOMENT, Plain, cell, padded, to_the_right

GAP = 2  # between columns
SHORTEST = 8  # a cell that is cut
ID_LENGTH = 16  # of an id that is cut: a command takes the beginning of one
COLOURS = {
    **dict.fromkeys(("applied", "planned_and_finished"), "green"),
    **dict.fromkeys(("preparing", "planning", "planned", "applying"), "cyan"),
    **dict.fromkeys(("canceled", "discarded", "stale"), "yellow"),
    **dict.fromkeys(("errored", "lost"), "red"),
}
UNITS = {
    "year": 31_557_600, "month": 2_629_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1,
}  # fmt: skip

_ID = re.compile(r"[a-z]+_[0-9a-z]{26}")
_DISTANCE = re.compile(r"in \d+ [a-z]+|\d+ [a-z]+ ago")


class Terminal(Plain):
    """For people who look at it now. What is piped, and --json, has everything in full."""

    def __init__(self, width: int, now: datetime) -> None:
        self._width = width
        self._now = now

    def table(self, titles: Sequence[str], values: Sequence[Sequence[object]]) -> list[str]:
        titles, values = self._needed(titles, values)
        lines = [[title.upper() for title in titles], *map(self._texts, values)]
        widths = fitting(lines, self._width)
        right = to_the_right(titles, values)
        table = [padded([*map(cut, line, widths)], widths, right) for line in lines]
        return ["  ".join(_coloured(titles, line)).rstrip() for line in table]

    def _needed(
        self, titles: Sequence[str], values: Sequence[Sequence[object]]
    ) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """Without the columns that are empty, when there is no room for all."""
        lines = [titles, *map(self._texts, values)]
        if not values or sum(_natural(lines)) + GAP * (len(titles) - 1) <= self._width:
            return titles, values
        kept = [n for n, column in enumerate(zip(*lines, strict=True)) if set(column[1:]) != {"-"}]
        return [titles[n] for n in kept], [[row[n] for n in kept] for row in values]

    def _texts(self, row: Sequence[object]) -> list[str]:
        return [cell(self._relative(value)) for value in row]

    def cell(self, title: str, value: object) -> str:
        said = cell(value)
        if (distance := self._relative(value)) != value:
            return f"{said} ({distance})"
        return _coloured([title], [said])[0]

    def _relative(self, value: object) -> object:
        """A moment as its distance from now; everything else as it is."""
        if isinstance(value, str) and MOMENT.fullmatch(value):
            return said_of(self._now - datetime.fromisoformat(value))
        return value


def said_of(ago: timedelta) -> str:
    """`3 minutes ago`, or `in 3 days` for what is to come."""
    seconds = int(abs(ago.total_seconds()))
    unit, length = next((u for u in UNITS.items() if u[1] <= seconds), ("second", 1))
    count = seconds // length
    said = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {said}" if ago < timedelta() else f"{said} ago"


def fitting(lines: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide each column is, for all of them to fit: ids are cut first, then the widest.

    Moments are not cut.
    """
    widths, room = _natural(lines), width - GAP * (len(lines[0]) - 1)
    least = [_least(column) for column in zip(*lines, strict=True)]
    for number, column in enumerate(zip(*lines, strict=True)):
        if sum(widths) > room and any(map(_ID.fullmatch, column)):
            widths[number] = least[number]
    while sum(widths) > room:
        wide = [n for n, (now, end) in enumerate(zip(widths, least, strict=True)) if now > end]
        if not wide:
            break
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _natural(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _least(column: Sequence[str]) -> int:
    """How narrow a column may become."""
    if any(map(_ID.fullmatch, column)):
        return ID_LENGTH
    if any(map(_DISTANCE.fullmatch, column)):
        return max(map(len, column))
    return max(SHORTEST, len(column[0]))


def cut(text: str, width: int) -> str:
    """The text, without its middle where it is longer; of an id its beginning."""
    if len(text) <= width:
        return text
    if _ID.fullmatch(text):
        return text[:width]
    beginning = width // 2
    return f"{text[:beginning]}…{text[beginning + 1 - width :]}"


def _coloured(titles: Sequence[str], line: Sequence[str]) -> list[str]:
    return [
        click.style(text, fg=COLOURS[text.strip()])
        if title == "status" and text.strip() in COLOURS
        else text
        for title, text in zip(titles, line, strict=True)
    ]
