from __future__ import annotations

from datetime import datetime

from flask import Response
from pydantic import Field

from backend.runs import workers
from backend.web.api.answers import Answer, Cursor, Page, answer, blueprint
from backend.web.current import reading

bp = blueprint("workers", "What executes runs, and what it has for that")


class WorkerTool(Answer):
    name: str
    version: str
    origin: str = Field(description="tools folder, PATH or wheel")


class Worker(Answer):
    name: str = Field(description="HOST:PID:NUMBER")
    slots: int = Field(description="Runs that it executes at once")
    queues: list[str]
    sandbox: str | None = Field(description="What confines its runs")
    tools: list[WorkerTool] | None = Field(
        description="The versions that its runs can have, in the order of its search; null: it "
        "does not say"
    )
    installs_tools: bool = Field(description="Whether it installs a version that it lacks")
    started_at: datetime
    seen_at: datetime


class WorkersQuery(Cursor):
    cursor: str | None = Field(
        None, max_length=255, description="`next_cursor` of the previous page"
    )


class Workers(Page[Worker]):
    pass


@bp.get("/workers", responses={200: Workers})
def list_workers(query: WorkersQuery) -> Response:
    """The workers that were alive in the last hour. For administrators of the installation."""
    with reading() as tx:
        found = workers.find_all(tx, query.cursor, query.limit)
    return answer(Workers.model_validate(found))
