from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from client.api import Api, Item, path
from stateroom.completing import argument
from stateroom.options import connected, in_project
from stateroom.remote.diff import line_of, marked
from stateroom.tables import Columns, Show

FOUND: Columns = {
    "looked at": "looked_at",
    "run": "run",
    "only targets": "partial",
    "resources": "resources",
    "outputs": "outputs",
    "differ in nothing": "unimportant",
    "state is newer": "state_is_newer",
}
SIGNS = {"create": "+", "delete": "-"}


@click.command("drift")
@argument("workspace")
@in_project
@connected
def command(api: Api, show: Show, *, project: str, workspace: str) -> None:
    """Show what was changed outside, as the last drift detection has found it.

    `stateroom runs queue --operation drift` looks again. Secrets are not shown.
    """
    found = api.get(project + path("workspaces", workspace, "drift"))
    show.item(found, FOUND, click.unstyle("\n".join(_lines(found["found"]))))


def summary(found: Item) -> str:
    """In a few words, for the workspace."""
    if not found["resources"] and not found["outputs"]:
        return f"none at {found['looked_at']}"
    counted = [
        f"{found[kind]} {kind if found[kind] != 1 else kind[:-1]}"
        for kind in ("resources", "outputs")
        if found[kind]
    ]
    return f"{' and '.join(counted)} at {found['looked_at']}"


def _lines(found: Item) -> Iterator[str]:
    for resource in found["resources"]:
        yield marked(SIGNS.get(resource["action"], "~"), resource["address"])
        for attribute in resource["attributes"]:
            yield f"    {line_of(attribute | {'path': _path(attribute['path'])})}"
        if resource["more_attributes"]:
            yield f"    and {resource['more_attributes']:,} more"
    for output in found["outputs"]:
        yield f"output {line_of(output | {'path': output['name']})}"
    if more := found["more_resources"] + found["more_outputs"]:
        yield f"{more:,} more resources and outputs are too many to show."


def _path(path: list[Any]) -> str:
    said = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return said.removeprefix(".")
