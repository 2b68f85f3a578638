"""What was changed outside of Stateroom: the last result of each workspace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend.db import now
from backend.errors import NotFound
from backend.models import Drift, State, StateVersion, Step, Workspace
from backend.principal import REPORT
from backend.runs import claims
from backend.sealing import bindings
from backend.sealing.crypto import open_value, seal_value
from backend.transactions import Transaction


@dataclass(frozen=True)
class Found:
    """How much a drift detection has found, and what, as JSON without secrets."""

    resources: int
    outputs: int
    unimportant: int
    content: bytes


@dataclass(frozen=True)
class Summary:
    """`state_is_newer`: the state was written since, so that it may be other now."""

    drift: Drift
    state_is_newer: bool


@dataclass(frozen=True)
class Detail(Summary):
    content: dict[str, Any]


def keep(tx: Transaction, found: Found) -> None:
    """Keep what the run which asks has found, unless another one has looked later. Raises Moved."""
    tx.require(REPORT, tx.principal.project_id)
    run = claims.own(tx)
    tx.db.refresh(run.workspace, with_for_update={"of": Workspace})
    planning = select(Step.started_at).where(
        Step.run_id == run.id, Step.epoch == run.epoch, Step.name == "plan"
    )
    looked_at = tx.db.scalars(select(func.coalesce(planning.scalar_subquery(), now()))).one()
    before = tx.db.get(Drift, run.workspace_id)
    if before is not None and before.looked_at > looked_at:
        return  # a run that was slower has looked earlier
    tx.db.execute(delete(Drift).where(Drift.workspace_id == run.workspace_id))
    tx.db.add(
        Drift(
            workspace_id=run.workspace_id,
            run_id=run.id,
            looked_at=looked_at,
            partial=bool(run.targets),
            resources=found.resources,
            outputs=found.outputs,
            unimportant=found.unimportant,
            sealed=seal_value(tx.keyring, found.content, bindings.drift(run.workspace_id)),
        )
    )


def get(tx: Transaction, workspace: Workspace) -> Detail:
    """What was found last. Raises NotFound `drift-unknown` when nothing has looked yet."""
    tx.require("runs:read", workspace.project_id)
    found = find(tx.db, workspace)
    if found is None:
        raise NotFound(
            f"No drift detection of the workspace {workspace.name} has ended yet. Queue one: "
            f"`stateroom runs queue -w {workspace.name} --operation drift`, or POST .../runs with "
            '{"operation": "drift"}.',
            code="drift-unknown",
        )
    content = open_value(tx.keyring, found.drift.sealed, bindings.drift(workspace.id))
    return Detail(found.drift, found.state_is_newer, json.loads(content))


def find(db: Session, workspace: Workspace) -> Summary | None:
    drift = db.get(Drift, workspace.id)
    if drift is None:
        return None
    written = db.scalar(
        select(StateVersion.created_at)
        .join(State, State.id == StateVersion.state_id)
        .where(State.workspace_id == workspace.id, StateVersion.number == State.current)
    )
    return Summary(drift, written is not None and written > drift.looked_at)
