"""The log of a run: a viewer for all of it, and a part of it for browsers without scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask import request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.models import ENDED, Run
from backend.runs import logs, queue
from backend.transactions import Transaction
from backend.web.current import reading
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("logs")

PART_BYTES = 64 * 1024  # of the log on a page
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_NUMBER = re.compile(r"[0-9]{1,15}")
_INSIDE = bytes(range(0x80, 0xC0))  # what no character of UTF-8 begins with


@dataclass(frozen=True)
class Part:
    """A part of a log. `earlier` and `later` are offsets of other parts, None if there are none."""

    text: str
    start: int
    end: int
    earlier: int | None
    later: int | None


@bp.get("/projects/<project>/runs/<run>/log")
def show(project: str, run: str) -> ResponseReturnValue:
    with reading() as tx:
        place = projects.get(tx, project)
        one = queue.get(tx, place, run)
        part = None if "HX-Request" in request.headers else _part(tx, one)
        return page(
            "logs/log.html", place, run=one, is_ended=one.status in ENDED, part=part,
            api=f"/projects/{place.name}/runs/{one.id}/log?download=true",
            command=f"stateroom runs log -p {place.name} {one.id}",
        )  # fmt: skip


def _part(tx: Transaction, run: Run) -> Part:
    """What a browser without scripts shows: from `offset` on, or else the end of the log."""
    asked = request.args.get("offset", "")
    start = max(0, run.log_size - PART_BYTES)
    if _NUMBER.fullmatch(asked):
        start = min(int(asked), run.log_size)
    text = logs.read(tx, run, start, PART_BYTES)
    if start + len(text) < run.log_size:
        text = text[: text.rfind(b"\n") + 1] or text
    end = start + len(text)
    return Part(
        text=_readable(text),
        start=start,
        end=end,
        earlier=max(0, start - PART_BYTES) if start else None,
        later=end if end < run.log_size else None,
    )


def _readable(text: bytes) -> str:
    """Without colours, and without the rest of a character that began before."""
    inside = len(text) - len(text.lstrip(_INSIDE))
    shown = text[min(inside, 3) :].decode(errors="replace")
    return _COLOURS.sub("", shown).replace("\r\n", "\n").replace("\r", "\\r")
