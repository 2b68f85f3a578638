from __future__ import annotations

import json
from typing import Any

import click

from client.api import Api, RequestRefused
from client.text import printable
from stateroom.options import connected, of_workspace
from stateroom.tables import Show, aligned

HIDDEN = "<sensitive>"


@click.command("outputs")
@of_workspace
@click.argument("name", required=False)
@click.option("--raw", is_flag=True, help="Print the text, number or boolean NAME without quotes.")
@connected
def command(api: Api, show: Show, *, workspace: str, name: str | None, raw: bool) -> None:
    """Print the outputs in the newest state of WORKSPACE, or one of them, like `terraform output`.

    The values of sensitive outputs are shown only when NAME asks for one. This needs the scope
    state:read, and is recorded in the audit log. --json prints one object with all outputs, or the
    value of NAME.
    """
    where = f"{workspace}/outputs"
    if name is None:
        if raw:
            raise click.UsageError("--raw needs the NAME of one output.")
        found = api.get(where)["outputs"]
        show.text(found, "\n".join(_table(found)))
        return
    value = _one(api, where, name)
    if raw:
        click.echo(_raw(name, value), nl=False)
    else:
        show.text(value, printable(_json(value)))


def _table(outputs: dict[str, Any]) -> list[str]:
    rows = [
        (name, HIDDEN if output["sensitive"] else _json(output["value"]))
        for name, output in sorted(outputs.items())
    ]
    return aligned(("name", "value"), rows)


def _one(api: Api, where: str, name: str) -> Any:
    """The value of one output; it is asked for a second time when it is sensitive.

    Raises RequestRefused when there is none of that name.
    """
    found = api.get(where)
    if name not in found["outputs"]:
        there = ", ".join(sorted(found["outputs"])) or "none"
        raise RequestRefused(f"There is no output {name!r}. There is: {printable(there)}.")
    if found["outputs"][name]["sensitive"]:
        found = api.get(where, show_sensitive="true")
    return found["outputs"].get(name, {}).get("value")


def _raw(name: str, value: object) -> str:
    """Raises UsageError for what is no single text, number or boolean."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (list, dict)):
        raise click.UsageError(f"The output {name!r} is no single value: use --json.")
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
