from __future__ import annotations

from collections.abc import Iterator

from flask import Response
from pydantic import Field

from backend.catalogue import projects
from backend.errors import Invalid
from backend.models import ENDED
from backend.models import Run as RunRow
from backend.runs import logs, queue
from backend.transactions import Caller, Transaction
from backend.web.api.answers import Query, blueprint, problems
from backend.web.api.run_answers import RunPath
from backend.web.current import caller, reading

MAX_LOG_BYTES = 1_048_576
_NUMBER = {"schema": {"type": "integer"}}

bp = blueprint("run-logs", "What the tool printed in a run, with secrets masked")


class LogRange(Query):
    offset: int = Field(0, ge=0, le=2**53, description="The first byte to return")
    limit: int = Field(
        262_144,
        ge=1,
        le=MAX_LOG_BYTES,
        description="How many bytes at most; a download has all of them",
    )
    tail: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Begin so many lines before the end, but at most 1 MiB. X-Log-Offset says "
        "where that is. Not together with offset",
    )
    timestamps: bool = Field(
        default=False,
        description="Put before each line the moment when it came (UTC), where that is known. It "
        "is no part of the log: offsets and limit do not count it",
    )
    download: bool = Field(default=False, description="The rest of the log, as a file")


@bp.get(
    "/projects/<project>/runs/<run>/log",
    responses={
        200: {
            "description": "The log from the offset on",
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "headers": {
                "X-Log-Offset": _NUMBER,
                "X-Log-Next-Offset": _NUMBER,
                "X-Log-Complete": {"schema": {"type": "string", "enum": ["true", "false"]}},
            },
        },
        **problems(500),
    },
)
def read_log(path: RunPath, query: LogRange) -> Response:
    """The log from an offset on. Repeat with X-Log-Next-Offset until X-Log-Complete is true.

    Of a log that is too long the middle is left out; a line in it says how much that is.
    """
    if query.tail is not None and query.offset:
        raise Invalid("Say either tail or offset: both tell where to begin.", code="log-range")
    with reading() as tx:
        run = _run(tx, path)
        offset = query.offset if query.tail is None else logs.tail(tx, run, query.tail)
        reached = max(offset, run.log_size)
        text = b""
        if not query.download:
            text, size = _text(tx, run, offset, query.limit, timestamps=query.timestamps)
            reached = offset + size
    response = Response(text, content_type="text/plain; charset=utf-8")
    if query.download:
        response.response = _rest(caller(), path, offset, reached, timestamps=query.timestamps)
        response.headers["Content-Disposition"] = f'attachment; filename="{run.id}.log"'
        del response.headers["Content-Length"]
        if not query.timestamps:
            response.content_length = reached - offset
    ended = run.status in ENDED and reached >= run.log_size
    response.headers["X-Log-Offset"] = str(offset)
    response.headers["X-Log-Next-Offset"] = str(reached)
    response.headers["X-Log-Complete"] = "true" if ended else "false"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _rest(
    who: Caller, path: RunPath, offset: int, until: int, *, timestamps: bool
) -> Iterator[bytes]:
    """The log between these offsets, piece by piece."""
    while offset < until:
        with who.reading() as tx:
            limit = min(MAX_LOG_BYTES, until - offset)
            text, size = _text(tx, _run(tx, path), offset, limit, timestamps=timestamps)
        if not size:
            return
        yield text
        offset += size


def _text(
    tx: Transaction, run: RunRow, offset: int, limit: int, *, timestamps: bool
) -> tuple[bytes, int]:
    """A part of the log, and how many bytes of it that is."""
    if timestamps:
        return logs.stamped(tx, run, offset, limit)
    text = logs.read(tx, run, offset, limit)
    return text, len(text)


def _run(tx: Transaction, path: RunPath) -> RunRow:
    return queue.named(tx.db, projects.named(tx, path.project), path.run)
