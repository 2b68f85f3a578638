"""What people see of a run: a line of a list, and the whole of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stateroom.tables import Columns


def _waits(run: Mapping[str, Any]) -> str | None:
    return "; ".join(one["message"] for one in run["waiting_for"]) or None


def _countdown(run: Mapping[str, Any]) -> str | None:
    """Which signal the tool got, and what it gets when."""
    stopping = run["stopping"]
    if stopping is None:
        return None
    if stopping["next"] is None:
        return f"{stopping['signal']} was sent: the tool is killed"
    return f"{stopping['signal']} was sent; {stopping['next']} follows at {stopping['next_at']}"


LIST: dict[str, str] = {
    "id": "id",
    "workspace": "workspace.name",
    "operation": "operation",
    "status": "status",
    "error": "error.code",
    "made by": "created_by",
    "made": "created_at",
    "finished": "finished_at",
}
DETAIL: Columns = {
    **LIST,
    "ref": "ref",
    "allowed by": "ref_rule",
    "commit": "commit",
    "message": "message",
    "retry of": "retry_of",
    "only": "targets",
    "replaces": "replace",
    "waits for": _waits,
    "position": "position",
    "planned": "planned_at",
    "rules": lambda run: [finding["message"] for finding in run["findings"]],
    "approve before": "approve_before",
    "approved by": "approved_by",
    "approved": "approved_at",
    "applied from": "not_before",
    "asked to stop": "cancel_requested_at",
    "stops": _countdown,
    "tool": "tool",
    "sandbox": "sandbox",
    "backend": "detection.verdict",
    "add": "changes.add",
    "change": "changes.change",
    "destroy": "changes.destroy",
    "goes back": "goes_back.message",
    "wrote versions": "state_versions",
    "what is wrong": "error.message",
    "do next": "error.next",
}
COMMENT = {"id": "id", "by": "created_by", "at": "created_at", "text": "text"}
