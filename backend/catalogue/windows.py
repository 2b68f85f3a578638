"""Windows: the days and hours when an apply may start.

A window is open while a clock on the wall in its zone shows a time inside it. So one hour that the
clock skips is open for nobody, and one that it shows twice is open twice.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_OF_THIS_MACHINE = {"localtime", "Factory"}  # what a zone of this name is differs
# A week and the day before, and once more: a clock may skip the only hour of a week.
_LOOKED_AT = timedelta(days=16)


def wrong(sentence: str) -> PydanticCustomError:
    """An error whose message is the sentence, and nothing else."""
    return PydanticCustomError("rule", "{why}", {"why": sentence})


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - _OF_THIS_MACHINE)


def _zone(name: str) -> str:
    if name in _zones():
        return name
    lower = {zone.lower(): zone for zone in _zones()}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    meant = f" Do you mean {lower[near[0]]}?" if near else ""
    raise wrong(
        f"There is no time zone {name!r}: write it like Europe/Zurich, America/New_York or UTC."
        f"{meant}"
    )


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise wrong(f"{text!r} is no time of day: write it like 09:00 or 17:30, at most 24:00.")
    return text.zfill(5)


def _days(given: list[str]) -> list[str]:
    for word in given:
        if not all(day in DAYS for day in word.split("-", 1)):
            raise wrong(
                f"{word!r} is no day: the days are {', '.join(DAYS)}, and mon-fri is a range."
            )
    return given


class Window(BaseModel):
    """Days and hours in a time zone. If it ends before it begins, it ends on the next day."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    days: Annotated[list[str], AfterValidator(_days)] = Field(
        default_factory=lambda: [*DAYS],
        min_length=1,
        max_length=7,
        description="mon, tue, wed, thu, fri, sat, sun, or ranges like mon-fri: the days on which "
        "the window begins. Default: every day",
    )
    begins: Annotated[str, Field(max_length=5), AfterValidator(_clock)] = Field(
        "00:00", alias="from", description="The time of day when it begins, like 09:00"
    )
    ends: Annotated[str, Field(max_length=5), AfterValidator(_clock)] = Field(
        "24:00",
        alias="to",
        description="The time of day when it ends, like 17:30. If it is before the beginning, the "
        "window ends on the next day",
    )
    zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = Field(
        description="The time zone of these times, by its IANA name, like Europe/Zurich"
    )

    @model_validator(mode="after")
    def _is_not_empty(self) -> Window:
        if self.begins in (self.ends, "24:00"):
            raise wrong(
                f"The window from {self.begins} to {self.ends} is empty: from 00:00 to 24:00 is "
                "the whole day."
            )
        return self

    def is_open(self, at: datetime) -> bool:
        """Whether it is open at this moment."""
        wall = at.astimezone(self._tz)
        minute = wall.hour * 60 + wall.minute
        begins, ends = _minutes(self.begins), _minutes(self.ends)
        today, yesterday = wall.weekday(), (wall.weekday() - 1) % 7
        if begins < ends:
            return today in self._weekdays and begins <= minute < ends
        return (today in self._weekdays and minute >= begins) or (
            yesterday in self._weekdays and minute < ends
        )

    def next_opening(self, at: datetime) -> datetime:
        """The next moment when it opens, for one when it is closed."""
        return min(
            moment for moment in self._candidates(at) if moment > at and self.is_open(moment)
        )

    @property
    def _tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    @property
    def _weekdays(self) -> set[int]:
        return {number for word in self.days for number in _numbers(word)}

    def _candidates(self, at: datetime) -> Iterator[datetime]:
        """Moments among which all openings are: the clock shows `from`, or it jumps."""
        begins = time(*divmod(_minutes(self.begins), 60))
        first = at.astimezone(self._tz).date()
        for ahead in range(-1, _LOOKED_AT.days):
            yield from _moments(first + timedelta(days=ahead), begins, self._tz)
        yield from _jumps(at, self._tz)


def opens(windows: Sequence[Window], at: datetime) -> datetime | None:
    """When the next of these windows opens; None when one is open, or when there is none."""
    if not windows or any(window.is_open(at) for window in windows):
        return None
    return min(window.next_opening(at) for window in windows)


def _numbers(word: str) -> Iterator[int]:
    """The weekdays of `tue`, or of a range like `fri-mon`."""
    first, _, last = word.partition("-")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    yield from (number % 7 for number in range(begin, end + 1 if begin <= end else end + 8))


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _moments(day: date, clock: time, zone: ZoneInfo) -> Iterator[datetime]:
    """When a clock there shows this time: once, or twice when it is set back."""
    for fold in (0, 1):
        yield datetime.combine(day, clock.replace(fold=fold), zone).astimezone(UTC)


def _jumps(at: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """When a clock there jumps, soon after this moment."""
    first = int(at.timestamp())
    for ahead in range(_LOOKED_AT.days):
        begin = first + ahead * 86_400
        end = begin + 86_400
        if _offset(begin, zone) == _offset(end, zone):
            continue
        while end - begin > 1:
            middle = (begin + end) // 2
            if _offset(middle, zone) == _offset(begin, zone):
                begin = middle
            else:
                end = middle
        yield datetime.fromtimestamp(end, UTC)


def _offset(seconds: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(seconds, zone).utcoffset()
