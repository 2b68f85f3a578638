"""At a terminal: the log of a run, and below it what the run is at work with at the moment."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from client.sse import Event
from client.text import Harmless, printable

MOST_LINES = 8  # of resources
_DOING = {
    "create": "creating", "update": "changing", "delete": "destroying", "read": "reading",
    "open": "opening", "close": "closing",
}  # fmt: skip


@contextmanager
def at_a_terminal(to: IO[bytes]) -> Iterator[LiveDisplay]:
    """Shows a log on this terminal until the block ends; then only the log is left."""
    text = io.TextIOWrapper(to, encoding="utf-8", errors="backslashreplace", write_through=True)
    try:
        console = Console(file=text, markup=False, highlight=False, emoji=False)
        display = LiveDisplay(console)
        with Live(console=console, transient=True, get_renderable=display.rendered):
            try:
                yield display
            finally:
                display.finish()
    finally:
        text.detach()  # else the end of `text` closes the terminal


class LiveDisplay:
    """A stream for a log; `hear` takes the run's events. Control characters are escaped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines = io.BytesIO()
        self._harmless = Harmless(self._lines)
        self._step: Mapping[str, Any] = {}
        self._progress: Mapping[str, Any] = {}

    def write(self, piece: bytes) -> int:
        """Show the lines that are whole."""
        self._harmless.write(piece)
        whole, end, rest = self._lines.getvalue().rpartition(b"\n")
        if end:
            self._print(whole)
            self._lines.seek(0)
            self._lines.truncate()
            self._lines.write(rest)
        return len(piece)

    def flush(self) -> None:
        """Lines are shown at once."""

    def finish(self) -> None:
        """Show also a last line that has no end."""
        self._harmless.finish()
        if rest := self._lines.getvalue():
            self._print(rest)

    def hear(self, event: Event) -> None:
        """Take what an event tells of steps and resources."""
        if event.name == "step":
            self._step = {} if event.data["finished_at"] else event.data
            self._progress = {}
        elif event.name == "progress":
            self._progress = event.data
        elif event.name == "status":
            self._progress = event.data.get("progress") or self._progress

    def rendered(self) -> Table:
        """What is below the log now."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, justify="right")
        if self._step:
            began = self._step["started_at"]
            table.add_row(f"== {self._step['name']}", self._counts(), elapsed(began))
            active = self._progress.get("active", ())
            for one in active[:MOST_LINES]:
                address = Text(printable(one["address"]))
                table.add_row(f"   {_DOING[one['action']]}", address, elapsed(one["began_at"]))
            more = self._progress.get("active_count", 0) - len(active[:MOST_LINES])
            if more > 0:
                table.add_row("", f"and {more} more", "")
        return table

    def _counts(self) -> str:
        told = self._progress
        counts = []
        if told.get("refreshed"):
            counts.append(f"{told['refreshed']} looked at")
        if told.get("total") is not None:
            counts.append(f"{told['done']} of {told['total']} done")
        if told.get("unfinished"):
            counts.append(f"{told['unfinished']} not finished")
        return ", ".join(counts)

    def _print(self, lines: bytes) -> None:
        self._console.out(lines.decode(errors="backslashreplace"))


def elapsed(since: str) -> str:
    """How long ago that was: 0:07, 1:07 or 2:01:07."""
    gone = datetime.now(UTC) - datetime.fromisoformat(since)
    minutes, seconds = divmod(max(0, int(gone.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
