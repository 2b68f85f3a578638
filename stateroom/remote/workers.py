from __future__ import annotations

from typing import Any

from client.api import Api
from stateroom.groups import group
from stateroom.options import connected, limited
from stateroom.tables import Columns, Show

LIST: Columns = {
    "name": "name",
    "slots": "slots",
    "queues": "queues",
    "tools": "held",
    "installs": "installs_tools",
    "sandbox": "sandbox",
    "seen": "seen_at",
}


@group("workers")
def command() -> None:
    """Workers, which execute runs. Only administrators see them."""


@command.command("list")
@connected
@limited()
def list_workers(api: Api, show: Show) -> None:
    """List the workers that were alive in the last hour, and the tools that each has."""
    show.rows(({**row, "held": _held(row)} for row in api.items("/workers")), LIST)


def _held(row: dict[str, Any]) -> list[str] | None:
    if row["tools"] is None:
        return None
    return [f"{tool['name']} {tool['version']}" for tool in row["tools"]]
