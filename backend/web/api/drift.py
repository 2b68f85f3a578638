from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response
from pydantic import Field

from backend.runs import drifts
from backend.states import workspaces
from backend.web.api.answers import WORKSPACE, Answer, WorkspacePath, answer, blueprint, problems
from backend.web.current import reading

bp = blueprint("drift", "What was changed outside of Stateroom")


class DriftSummary(Answer):
    run: str = Field(description="The run that looked")
    looked_at: datetime
    resources: int = Field(description="How many were changed or deleted outside; 0: none")
    outputs: int = Field(
        description="How many have another value now. They also do when the sources have changed "
        "since the last apply"
    )
    unimportant: int = Field(
        description="How many more resources differ only between null and an empty text, list or "
        "object, as providers often read back what they have made"
    )
    partial: bool = Field(description="The run had targets: nothing else was looked at")
    state_is_newer: bool = Field(description="The state was written since: look again")


class DriftedAttribute(Answer):
    path: list[str | int] = Field(description="From the resource: the attribute, and what is in it")
    before: Any = Field(description="As in the state; `(sensitive value)` for a secret")
    after: Any = Field(description="As it is now; long values are cut")
    sensitive: bool


class DriftedResource(Answer):
    address: str
    type: str
    provider: str
    action: str = Field(description="update; or delete: it is gone")
    attributes: list[DriftedAttribute] = Field(description="What has another value")
    more_attributes: int = Field(description="How many more there are")


class DriftedOutput(Answer):
    name: str
    action: str
    before: Any
    after: Any
    sensitive: bool


class DriftFound(Answer):
    resources: list[DriftedResource]
    more_resources: int = Field(description="How many more there are")
    outputs: list[DriftedOutput]
    more_outputs: int


class DriftDetail(DriftSummary):
    found: DriftFound


def summary(found: drifts.Summary) -> DriftSummary:
    return DriftSummary.model_validate(_facts(found))


@bp.get(f"{WORKSPACE}/drift", responses={200: DriftDetail, **problems(500)})
def get_drift(path: WorkspacePath) -> Response:
    """What the last drift detection of the workspace has found, which may be nothing.

    404 `drift-unknown`: none has ended yet.
    """
    with reading() as tx:
        found = drifts.get(tx, workspaces.named(tx, path.project, path.workspace))
    return answer(detail(found))


def detail(found: drifts.Detail) -> DriftDetail:
    return DriftDetail.model_validate({**_facts(found), "found": found.content})


def _facts(found: drifts.Summary) -> dict[str, Any]:
    drift = found.drift
    counts = {name: getattr(drift, name) for name in ("resources", "outputs", "unimportant")}
    return {
        **counts,
        "run": drift.run_id,
        "looked_at": drift.looked_at,
        "partial": drift.partial,
        "state_is_newer": found.state_is_newer,
    }
