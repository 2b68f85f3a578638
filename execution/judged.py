"""What the rules of a template look at in a plan that the runner has read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.plans.plan_read import PlanRead


def facts(plan: PlanRead) -> Mapping[str, Any]:
    """The plan as `backend.runs.rules` judges it: what changes, and nothing of its values."""
    changes = [change for change in plan.resources if change.is_change]
    return {
        "summary": dict(plan.summary),
        "resources": [
            {
                "address": change.address,
                "previous_address": change.previous_address if change.moves else None,
                "mode": change.mode,
                "type": change.type,
                "actions": change.actions,
            }
            for change in changes
        ],
        "invocations": [{"address": one.address, "type": one.type} for one in plan.invocations],
    }
