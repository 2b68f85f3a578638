"""What a drift detection has found, without a run that really looks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from backend.models import Run
from backend.runs import claims, drifts
from backend.transactions import Installation


def keep(server: Installation, run_id: str, found: dict[str, Any]) -> None:
    """Keep this as the result of a queued run: so many resources and outputs are other."""
    count = drifts.Found(
        len(found["resources"]) + found["more_resources"],
        len(found["outputs"]) + found["more_outputs"],
        4,
        json.dumps(found).encode(),
    )
    with server.itself.transaction() as tx:
        run = tx.db.get_one(Run, run_id)
        run.status, run.epoch = "planning", 1
        tx.db.flush()
        drifts.keep(replace(tx, principal=claims.itself(run)), count)
