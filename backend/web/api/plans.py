from __future__ import annotations

from typing import Any, Literal

import msgspec
from flask import Response
from pydantic import Field

from backend.offload import off_loop
from backend.runs import plan_documents
from backend.runs.plan_documents import Found
from backend.runs.plan_index import Wanted
from backend.web.api.answers import Answer, Cursor, blueprint, encoded, problems
from backend.web.api.run_answers import Finding, GoesBack, RunPath
from backend.web.current import caller

bp = blueprint("plans", "What the plan of a run would change")

PathIn = list[str | int]
Action = Literal[
    "create", "update", "delete", "replace", "read", "forget", "no-op", "import", "move"
]


class PlanFilter(Cursor):
    action: Action | None = Field(
        None,
        description="Only resources with this action. `import` and `move` find those that are "
        "imported or moved, whatever else is done to them",
    )
    type: str | None = Field(
        None, max_length=255, pattern=r"^[^\x00]*$", description="Only resources of this type"
    )
    address: str | None = Field(
        None,
        max_length=200,
        pattern=r"^[^\x00]*$",
        description="Only resources with this in their address. With `*` (any text) or `?` (one "
        "character) it is a pattern for the whole address; brackets are plain characters",
    )
    changed: bool = Field(
        default=True, description="false: also resources that do not change, without their values"
    )


class Cut(Answer):
    path: PathIn
    size: int = Field(description="Characters of a text, or entries of a list or map, in all")


class Values(Answer):
    before: Any = Field(
        description="The values now. `(sensitive value)` stands for what is sensitive, and *** for "
        "a secret inside of a text. Long texts and very many values are cut: see `cut`"
    )
    after: Any = Field(description="The values after the apply, without those of `unknown`")
    unknown: list[PathIn] = Field(
        description="What is known after the apply only. A path is a list of names and indexes; "
        "the empty one is the whole value"
    )
    sensitive: list[PathIn] = Field(description="What is hidden, before or after")
    changed: list[PathIn] = Field(
        description="The innermost values that differ, where there are values before and after"
    )
    replace_paths: list[PathIn] = Field(description="What forces a replacement")
    cut: list[Cut] = Field(description="What is not shown completely")


class PlannedResource(Values):
    address: str
    previous_address: str | None = Field(description="Where it is moved from")
    deposed: str | None = Field(
        description="The key of an object that was replaced earlier, and is still to be destroyed"
    )
    mode: str = Field(description="managed, data or ephemeral")
    type: str
    name: str
    provider: str
    action: str = Field(
        description="create, update, delete, replace, read, forget or no-op (nothing, except that "
        "it may be imported or moved)"
    )
    actions: list[str] = Field(description="The same in the words of the tool, in its order")
    reason: str | None = Field(description="Why, in the words of the tool")
    importing: str | None = Field(description="The id of what is imported; null: nothing")
    values_left_out: bool = Field(
        description="The plan is so large that the values of this resource are not kept"
    )


class PlannedOutput(Values):
    name: str
    action: str = Field(description="create, update or delete")


class PlannedAction(Answer):
    address: str
    type: str
    provider: str
    triggered_by: str | None = Field(description="The address of a resource")
    event: str | None = Field(description="When it is invoked, in the words of the tool")


class Counts(Answer):
    """Counted by the tool's JSON, so that no secret hides a count."""

    add: int
    change: int
    destroy: int
    replace: int = Field(description="These are in `add` and `destroy` too")
    imported: int = Field(alias="import")
    move: int
    forget: int = Field(description="Resources that are removed from the state and left alone")
    read: int = Field(description="Data sources that are read by the apply")
    actions: int = Field(description="Actions that are invoked")
    outputs: int


class Plan(Answer):
    run: str
    summary: Counts
    has_changes: bool = Field(description="What the exit code of the tool said")
    goes_back: GoesBack | None = Field(description="As of the run")
    findings: list[Finding] = Field(description="As of the run: what the rules say about the plan")
    resources: list[PlannedResource]
    next_cursor: str | None = Field(description="The cursor of the next page; null on the last one")
    actions: list[PlannedAction] = Field(description="Actions that are invoked, 500 at most")
    outputs: list[PlannedOutput] = Field(description="Outputs that change, 500 at most")
    outputs_left_out: int
    drift: list[PlannedResource] = Field(
        description="What was changed outside since the state was written, 500 at most"
    )
    drift_left_out: int
    values_left_out: int = Field(description="Resources whose values are too much to be kept")


@bp.get("/projects/<project>/runs/<run>/plan", responses={200: Plan, **problems(409, 500)})
def get_plan(path: RunPath, query: PlanFilter) -> Response:
    """What the plan of a run would change, in pages of resources, without sensitive values.

    404 `plan-missing` until there is one, and for runs that make none.
    """
    wanted = Wanted(**query.model_dump())
    found = plan_documents.read(caller(), path.project, path.run, wanted)
    # not with the model: it would hold the whole server up while it checks thousands of values
    return encoded(off_loop(_written, found))


@bp.get(
    "/projects/<project>/runs/<run>/plan/json",
    responses={
        200: {
            "description": "The plan as `terraform show -json` or `tofu show -json` writes it",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **problems(500),
    },
)
def download_plan(path: RunPath) -> Response:
    """The JSON of the plan as the tool wrote it, with its secrets in clear. This is audited.

    Needs state:read, because it contains the state. 404 `plan-json-not-kept` when it is too large.
    """
    size, pieces = plan_documents.download(caller(), path.project, path.run)
    response = Response(pieces, content_type="application/json")
    response.headers["Content-Length"] = str(size)
    response.headers["Cache-Control"] = "no-store"
    return response


def _written(found: Found) -> bytes:
    """The same as a Plan."""
    index = found.index
    return msgspec.json.encode(
        {
            "run": found.run.id,
            "summary": index.summary,
            "has_changes": index.has_changes,
            "goes_back": found.run.goes_back,
            "findings": found.run.findings,
            "resources": found.resources,
            "next_cursor": found.next_cursor,
            "actions": index.invocations,
            "outputs": found.outputs,
            "outputs_left_out": index.outputs_left_out,
            "drift": found.drift,
            "drift_left_out": index.drift_left_out,
            "values_left_out": index.values_left_out,
        }
    )
