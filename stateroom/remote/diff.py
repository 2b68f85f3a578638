from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from client.api import Api
from stateroom.options import connected, in_workspace
from stateroom.tables import Show, printable

LONGEST = 80  # letters of a value that people see; programs get all of it
COLOURS = {"+": "green", "-": "red", "~": "yellow"}


@click.command("diff")
@click.argument("older", required=False)
@click.argument("newer", default="latest")
@in_workspace
@connected
def command(api: Api, show: Show, *, workspace: str, older: str | None, newer: str) -> None:
    """Compare two versions, by resource, attribute and output.

    OLDER and NEWER are numbers or `latest`. Default: the newest version and the one before it.
    Of secrets it says only that they changed. The audit log records the comparison.
    """
    found = api.get(f"{workspace}/states/diff", **{"from": older, "to": newer})
    show.text(found, "\n".join(_lines(found)))


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    before = found["from_version"] or "nothing"
    yield click.style(f"{before} -> {found['to_version']}", bold=True)
    for resource in _by_address(found):
        yield marked(resource["sign"], resource["address"])
        for change in resource.get("changes", ()):
            yield f"    {line_of(change)}"
    for change in found["outputs"]:
        yield f"output {line_of(change)}"
    yield _summary(found)
    if found.get("left_out"):
        yield f"{found['left_out']:,} more resources and outputs are too many to show."


def _by_address(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    signs = {"added": "+", "removed": "-", "changed": "~"}
    signed = [one | {"sign": sign} for kind, sign in signs.items() for one in found[kind]]
    return sorted(signed, key=lambda resource: str(resource["address"]))


def line_of(change: Mapping[str, Any]) -> str:
    before, after = change["before"], change["after"]
    sign = "+" if before is None else "-" if after is None else "~"
    if before is None or after is None:
        said = _value(after if before is None else before)
    elif before == after:  # with nothing to see in it: both are secret
        said = f"{_value(before)} changed"
    else:
        said = f"{_value(before)} -> {_value(after)}"
    return f"{marked(sign, change['path'])}: {said}"


def _value(value: object) -> str:
    said = "(sensitive)" if value == "(sensitive)" else json.dumps(value, ensure_ascii=False)
    text = printable(said)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} letters)"


def marked(sign: str, name: str) -> str:
    return click.style(f"{sign} {printable(name)}", fg=COLOURS[sign])


def _summary(found: Mapping[str, Any]) -> str:
    counts = {kind: len(found[kind]) for kind in ("added", "changed", "removed")}
    if not any(counts.values()) and not found["outputs"] and not found.get("left_out"):
        return "No resource, attribute or output is different."
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return f"Resources: {told}, {found['unchanged']} unchanged."
