"""How pages show values: times, sizes, durations, and text that came from outside."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

# What needs a closer look: everything beside what can be printed, and line ends and tabs.
_ODD = re.compile(r"[^\x20-\x7e\xa1-\xac\xae-\xff\n\r\t]")
NOTHING = "\N{EN DASH}"
_UNITS = ("B", "KB", "MB", "GB", "TB")
_STEPS = (
    (60, "s", 1),
    (3600, "min", 60),
    (86_400, "h", 3600),
    (86_400 * 60, "days", 86_400),
    (86_400 * 730, "months", 86_400 * 30),
)


def install(app: Flask) -> None:
    """Have all templates show text harmlessly, and give them the filters."""
    app.jinja_env.finalize = harmless
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters |= {
        "when": when,
        "size": size,
        "duration": duration,
        "count": count,
        "words": words,
        "plain": plain,
        "as_it_is": as_it_is,
    }


def harmless(value: Any) -> Any:
    """Text with its control and invisible characters shown as escapes. Markup is left alone."""
    if not isinstance(value, str) or isinstance(value, Markup) or not _ODD.search(value):
        return "" if value is None else value
    return _ODD.sub(_escaped, value)


def as_it_is(value: str | None) -> Markup:
    """A text as a form field has it: it is sent back unchanged, so nothing in it is shown."""
    return escape("" if value is None else value)


def when(moment: datetime | None, now: datetime | None = None) -> Markup:
    """A moment: how long ago, and exactly on hover. app.js puts it into the viewer's zone."""
    if moment is None:
        return Markup('<span class="none">never</span>')
    at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    exact = f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    relative = _relative(at - (now or datetime.now(UTC)))
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(), exact, relative
    )


def _relative(ahead: timedelta) -> str:
    seconds = abs(ahead.total_seconds())
    if seconds < 5:
        return "just now"
    said = _rounded(seconds)
    return f"in {said}" if ahead > timedelta(0) else f"{said} ago"


def _rounded(seconds: float) -> str:
    for below, unit, each in _STEPS:
        if seconds < below:
            number = int(seconds // each)
            return f"{number} {unit.removesuffix('s') if number == 1 and each > 3600 else unit}"
    return f"{int(seconds // (86_400 * 365))} years"


def duration(lasted: timedelta | float | None) -> str:
    """A duration: `340 ms`, `12.4 s`, `3 min 20 s`, `2 h 5 min`."""
    if lasted is None:
        return NOTHING
    seconds = lasted.total_seconds() if isinstance(lasted, timedelta) else float(lasted)
    if seconds < 1:
        return f"{max(0, seconds) * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(number: float | None) -> str:
    """A number of bytes, in units of 1,000: `999 B`, `1.5 MB`."""
    if number is None:
        return NOTHING
    unit = 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def count(number: int | None, one: str = "", many: str = "") -> str:
    """A number with thousands separated, and its noun: `1 run`, `1,200 runs`."""
    number = number or 0
    noun = one if number == 1 else many or f"{one}s"
    return f"{number:,} {noun}" if one else f"{number:,}"


def words(name: str) -> str:
    """A name of a status or an operation as people read it: `planned and finished`."""
    return name.replace("_", " ")


def plain(value: Any) -> str:
    """A value of JSON as text: a text without quotation marks, and everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _escaped(found: re.Match[str]) -> str:
    letter = found[0]
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
