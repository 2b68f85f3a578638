from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Flask, Response, current_app, request
from pydantic import BaseModel, Field

from backend.catalogue import projects
from backend.errors import Invalid
from backend.models import Run as RunRow
from backend.models import Step as StepRow
from backend.runs import queue, steps
from backend.transactions import Transaction
from backend.web.api import run_answers
from backend.web.api.answers import PREFIX, Query, blueprint, problems
from backend.web.api.run_answers import RunPath, Step
from backend.web.connections import Connection
from backend.web.current import EXTENSION, again, principal, reading
from backend.web.live.channel import Progress, Seen
from backend.web.live.entrance import Entrance
from backend.web.live.hub import Hub
from backend.web.live.places import Place, digest
from backend.web.live.viewer import Viewer

HUB = "stateroom-live"
TOLD_APART = {"steps", "progress", "log_size"}
EVENTS = """\
Server-sent events; the data of each is JSON. `status`: the run as GET shows it, without `steps`, \
`progress` and `log_size`; again when something of it changes, after the steps and the log up to \
there. `progress`: how far the plan or the apply is, as GET shows it, a few times a second. \
`step`: one of its steps, as in `/steps`, when it starts and when it ends. `log`: `text`, and \
the bytes of the log from `offset` up to `until` that it stands for. `end`: the run has ended, \
and the stream ends. `problem`: the stream ends because the token may no longer see the run, or \
the log cannot be read; the data has `status`, `code` and `detail`. A line that begins with a \
colon only keeps the connection open.

A client that lost its connection sends the id of the last event as Last-Event-ID, to any server \
process: it gets each part of the log and each step that it has not got yet, once, and the \
newest status. 204 after `end`."""

bp = blueprint("run-events", "What happens in a run, as it happens")


class Resumed(BaseModel):
    last_event_id: str | None = Field(
        None, alias="Last-Event-ID", max_length=100, description="The id of the last event received"
    )


class Begin(Query):
    offset: int = Field(
        0,
        ge=0,
        le=2**53,
        description="The first byte of the log to be told. Last-Event-ID goes before it",
    )


def install(app: Flask) -> None:
    """Have one reader of all runs that are watched through this application, and an entrance."""
    app.extensions[HUB] = Hub(app.extensions[EXTENSION], look)
    app.wsgi_app = Entrance(app.wsgi_app, _is_of_events)  # type: ignore[method-assign,assignment]  # as Flask documents it


def look(tx: Transaction, run: RunRow) -> Seen:
    """What viewers are told of a run. For Stateroom itself: it asks for all of them."""
    told = run_answers.detail(tx, run).model_dump_json(exclude=TOLD_APART).encode()
    return Seen(
        status=run.status,
        log_size=run.log_size,
        run=told,
        run_digest=digest(told),
        steps=_counted(steps.find_all(tx, run)),
        progress=Progress.of(run.progress),
    )


@bp.get(
    "/projects/<project>/runs/<run>/events",
    responses={
        200: {
            "description": EVENTS,
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        204: {"description": "The run has ended, and everything was told"},
        **problems(429),
    },
)
def follow_run(path: RunPath, header: Resumed, query: Begin) -> Response:
    """Follow a run: status, steps and log as they come, until it has ended."""
    place = Place(log=query.offset)
    if header.last_event_id is not None:
        place = Place.parse(header.last_event_id)
    with reading() as tx:
        project = projects.named(tx, path.project)
        run = queue.get(tx, project, path.run)
    if place.log > run.log_size:
        raise Invalid(
            f"The log has {run.log_size} bytes, and you have been told {place.log}: that was "
            "another run. Begin anew, without Last-Event-ID and offset.",
            code="event-id-unknown",
        )
    if place.is_end:
        return Response(status=204)
    if request.method == "HEAD":
        return _stream(Response())
    hub: Hub = current_app.extensions[HUB]
    viewer = hub.join(run.id, principal().token_id, place, _asking(project.id, run.id))
    response = _stream(Response(viewer.events()))
    response.call_on_close(lambda: hub.leave(viewer))
    _set_apart(viewer)
    return response


def _is_of_events(path: str) -> bool:
    return path.startswith(f"{PREFIX}/projects/") and path.rstrip("/").endswith("/events")


def _counted(of_run: Sequence[StepRow]) -> list[tuple[int, bytes]]:
    """The steps, each with the number of starts and ends up to it."""
    told, count = [], 0
    for step in of_run:
        count += 1 if step.finished_at is None else 2
        told.append((count, Step.model_validate(step).model_dump_json().encode()))
    return told


def _asking(project_id: str, run_id: str) -> Callable[[], None]:
    """Ask whether the credential of this request may still see the run, at any time."""
    caller = again()

    def ask() -> None:
        with caller().reading() as tx:
            queue.get(tx, projects.named(tx, project_id), run_id)

    return ask


def _stream(response: Response) -> Response:
    response.content_type = "text/event-stream; charset=utf-8"
    response.headers["Cache-Control"] = "no-store, no-transform"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep events back
    return response


def _set_apart(viewer: Viewer) -> None:
    """Let the connection be none of those that other requests need."""
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, Connection):
        connection.set_apart(viewer.stop)
