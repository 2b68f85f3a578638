"""Following a run: its log as it is written, until the run has ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any
from urllib.parse import unquote

import click

from client.api import Api, Item, RequestRefused
from client.sse import Event
from client.text import Harmless
from stateroom import again
from stateroom.remote import deciding, watching
from stateroom.tables import Show

DONE = ("applied", "planned_and_finished")  # ended well


class Interrupted(click.ClickException):
    """The user pressed Ctrl-C: exit status 130, as a shell has it."""

    exit_code = 130

    def show(self, file: IO[str] | None = None) -> None:  # noqa: ARG002 click's
        click.echo(f"\n{self.message}", err=True)


def to_its_end(  # noqa: PLR0913 the last one says how the log is shown
    api: Api, show: Show, where: str, to: IO[bytes], offset: int = 0, *, raw: bool = False
) -> Item:
    """Write the log of a run from that offset on, as it comes; the run, when it has ended."""
    return _until(_has_ended, api, show, where, to, offset, raw=raw)


def to_its_plan(api: Api, show: Show, where: str, to: IO[bytes]) -> tuple[Item, int]:
    """The same, but only until the run waits for an approval; also where the log ended."""
    found = _until(_has_ended_or_waits, api, show, where, to, 0, raw=False)
    return found, int(found["log_size"])


def as_json(api: Api, where: str) -> Item:
    """Print each event of a run as a line of JSON, until it ends; the run, when it has ended."""
    with _saying_that_it_goes_on(_id_in(where)):
        for event in watching.events(api, where):
            told = {name: value for name, value in event.data.items() if name != "raw"}
            if event.name == "log":
                told["text"] = event.data["raw"].decode(errors="replace")
            click.echo(json.dumps({"event": event.name} | told))
        return api.get(where)


def _has_ended(run: Item) -> bool:
    return run["finished_at"] is not None


def _has_ended_or_waits(run: Item) -> bool:
    return _has_ended(run) or deciding.waits_for_approval(run)


def _until(  # noqa: PLR0913 as above
    is_over: Callable[[Item], bool],
    api: Api,
    show: Show,
    where: str,
    to: IO[bytes],
    offset: int,
    *,
    raw: bool,
) -> Item:
    """Follow a run until something is the case.

    Control characters are shown as escapes, unless `raw`. Raises Interrupted for Ctrl-C, and
    RequestRefused: both say that the run goes on.
    """
    with _saying_that_it_goes_on(_id_in(where)), _live(to, raw=raw) as (log, hear):
        said = ""
        for event in watching.events(api, where, offset):
            hear(event)
            if event.name == "log":
                log.write(event.data["raw"])
                log.flush()
            elif event.name == "status":
                if (waits := _waits(event.data)) not in {"", said}:
                    show.note(waits)
                    said = waits
                if is_over(event.data):
                    break
        return api.get(where)


@contextmanager
def _live(to: IO[bytes], *, raw: bool) -> Iterator[tuple[Any, Callable[[Event], None]]]:
    """Where to write a log that grows, and what shows the other events: only a terminal does."""
    if not raw and to.isatty():
        from stateroom.remote import live_display  # only people need rich

        with live_display.at_a_terminal(to) as display:
            yield display, display.hear
    else:
        with shown(to, raw=raw) as log:
            yield log, lambda _event: None


def _id_in(where: str) -> str:
    return unquote(where.rpartition("/")[2])


def log_so_far(  # noqa: PLR0913 as above
    api: Api, where: str, to: IO[bytes], offset: int = 0, *, raw: bool, timestamps: bool
) -> None:
    """Write the log as far as there is one, from an offset on."""
    with shown(to, raw=raw) as log:
        if timestamps:
            api.download(f"{where}/log", log, offset=offset, download=True, timestamps=True)
        else:
            _rest_of_log(api, where, offset, log)


def last_lines(api: Api, where: str, lines: int | None) -> int:
    """The offset of the last lines of a log; None is all of it."""
    if lines is None:
        return 0
    return int(api.headers(f"{where}/log", tail=lines)["X-Log-Offset"])


@contextmanager
def shown(to: IO[bytes], *, raw: bool) -> Iterator[Any]:
    """Where to write a log: its control characters are shown as escapes, unless `raw`."""
    if raw:
        yield to
        return
    log = Harmless(to)
    try:
        yield log
    finally:
        log.finish()


def _rest_of_log(api: Api, where: str, offset: int, to: Any) -> int:
    """Write the log from that offset on; the offset of its end."""
    while more := api.download(f"{where}/log", to, offset=offset):
        offset += more
        to.flush()
    return offset


def _waits(run: Item) -> str:
    """What a queued run waits for; nothing for one that has begun."""
    if deciding.waits_for_approval(run):
        return deciding.how_to(run)
    if run["status"] != "queued":
        return ""
    reasons = " Then it waits for ".join(f"{one['message']}." for one in run["waiting_for"])
    return f"The run {run['id']} is queued." + (f" It waits for {reasons}" if reasons else "")


@contextmanager
def _saying_that_it_goes_on(run: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"Only this command has stopped. {_goes_on(run)}") from None
    except RequestRefused:
        click.echo(_goes_on(run), err=True)
        raise


def _goes_on(run: str) -> str:
    return (
        f"The run {run} goes on.\n"
        f"To watch it again: {again.command('runs', 'follow', run)}\n"
        f"To cancel it:      {again.command('runs', 'cancel', run)}"
    )
