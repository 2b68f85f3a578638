"""The plan of a run, as people know plans, and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from client.api import Api, Item
from stateroom.options import Command
from stateroom.tables import Show, printable

ACTIONS = ("create", "update", "delete", "replace", "read", "forget", "no-op", "import", "move")
HIDDEN, UNKNOWN = "(sensitive value)", "(known after apply)"
LONGEST = 400  # letters of a value that people see; programs get all of it
SIGNS = {"create": "+", "update": "~", "delete": "-", "replace": "-/+", "read": "<=", "forget": "."}
COLOURS = {"+": "green", "-": "red", "~": "yellow", "-/+": "red", "+/-": "red", "<=": "cyan"}
WORDS = {
    "import": "to import", "add": "to add", "change": "to change", "destroy": "to destroy",
    "move": "to move", "forget": "to forget", "read": "to read", "actions": "to invoke",
}  # fmt: skip
ALWAYS = ("add", "change", "destroy")
PAGE = 200

_Path = tuple[str | int, ...]


def options(command: Command) -> Command:
    """Give the command the filters of a plan, and --raw-json."""
    for option in (
        click.option(
            "--action", type=click.Choice(ACTIONS), help="Show only resources with this action."
        ),
        click.option("--type", help="Show only resources of this type."),
        click.option(
            "--address",
            help="Show only resources with this in their address, or, with * or ?, with an address "
            "like this.",
        ),
        click.option("--all", "everything", is_flag=True, help="Also what does not change."),
        click.option(
            "--raw-json", is_flag=True,
            help="Print the JSON of the tool instead, with its secrets. It needs state:read.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def show_plan(
    api: Api, show: Show, where: str, *, raw_json: bool, everything: bool, **only: Any
) -> None:
    """Print a plan, or the part of it that is asked for."""
    if raw_json:
        if everything or any(only.values()):
            raise click.UsageError("--raw-json has the whole plan: it takes no other option.")
        api.download(f"{where}/plan/json", sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    found = _whole(api, where, changed="false" if everything else None, **only)
    show.text(found, "\n".join(_lines(found)))


def _whole(api: Api, where: str, **only: Any) -> Item:
    """All pages as one."""
    found = api.get(f"{where}/plan", limit=PAGE, **only)
    cursor = found.pop("next_cursor")
    while cursor is not None:
        page = api.get(f"{where}/plan", limit=PAGE, cursor=cursor, **only)
        found["resources"] += page["resources"]
        cursor = page["next_cursor"]
    return found


def _lines(plan: Item) -> Iterator[str]:
    if plan["drift"]:
        yield click.style("Changed outside:", bold=True)
        for resource in plan["drift"]:
            yield from _resource(resource)
        yield from _left_out(plan["drift_left_out"], "resources that changed outside")
    for resource in plan["resources"]:
        yield from _resource(resource)
    if plan["outputs"]:
        yield click.style("Outputs:", bold=True)
        for output in plan["outputs"]:
            yield from _changes(output, output["name"])
        yield from _left_out(plan["outputs_left_out"], "outputs")
    for action in plan["actions"]:
        after = f" ({action['event']} of {action['triggered_by']})" if action["event"] else ""
        yield printable(f"! {action['address']}{after}")
    if plan["goes_back"]:
        yield click.style(printable(f"Warning: {plan['goes_back']['message']}"), fg="yellow")
    for finding in plan["findings"]:
        yield click.style(printable(f"Rule {finding['rule']}: {finding['message']}"), fg="yellow")
    yield from _left_out(plan["values_left_out"], "resources whose values are too much to be kept")
    yield click.style(_counts(plan), bold=True)


def _resource(resource: Item) -> Iterator[str]:
    sign = SIGNS.get(resource["action"], " ")
    if resource["actions"] == ["create", "delete"]:
        sign = "+/-"
    said = [f"deposed {resource['deposed']}"] if resource["deposed"] else []
    if resource["previous_address"]:
        said.append(f"moved from {resource['previous_address']}")
    if resource["importing"] is not None:
        said.append(f"imported {resource['importing']}".rstrip())
    if resource["reason"]:
        said.append(resource["reason"].replace("_", " "))
    about = printable(f" ({', '.join(said)})") if said else ""
    yield f"{_signed(sign, 3)} {click.style(printable(resource['address']), bold=True)}{about}"
    for line in _changes(resource, ""):
        yield f"      {line}"


def _changes(change: Item, name: str) -> Iterator[str]:
    """A line for each value that changes; `name` is that of an output."""
    hidden = _paths(change["sensitive"])
    unknown = _paths(change["unknown"])
    if change["action"] in {"update", "replace"}:
        forcing = _paths(change["replace_paths"])
        for path in _paths(change["changed"]):
            line = _change(change, path, hidden, unknown, name)
            forces = any(path[: len(start)] == start for start in forcing)
            yield f"{line} # forces replacement" if forces else line
        return
    if change["action"] == "no-op":
        return
    is_new = change["after"] is not None or unknown
    sign, value = ("+", change["after"]) if is_new else ("-", change["before"])
    for path, leaf in _leaves(value, (), hidden) if value or name else ():
        yield f"{_signed(sign)} {_named(name, path)} = {leaf}"
    for path in unknown:
        yield f"{_signed(sign)} {_named(name, path)} = {UNKNOWN}"


def _change(
    change: Item, path: _Path, hidden: Sequence[_Path], unknown: Sequence[_Path], name: str
) -> str:
    before, after = _at(change["before"], path), _at(change["after"], path)
    is_unknown = any(path == other[: len(path)] for other in unknown)
    is_hidden = any(other == path[: len(other)] for other in hidden)
    old = HIDDEN if is_hidden else _shown(before, path, hidden)
    new = HIDDEN if is_hidden else _shown(after, path, hidden)
    new = UNKNOWN if is_unknown else new
    if before is None and not is_hidden:
        return f"{_signed('+')} {_named(name, path)} = {new}"
    if after is None and not is_unknown and not is_hidden:
        return f"{_signed('-')} {_named(name, path)} = {old}"
    return f"{_signed('~')} {_named(name, path)} = {old} -> {new}"


def _leaves(value: Any, path: _Path, hidden: Sequence[_Path]) -> Iterator[tuple[_Path, str]]:
    """The innermost values, each with its path. Attributes that are null are left out."""
    if path in hidden:
        yield path, HIDDEN
    elif isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, (*path, key), hidden)
    elif isinstance(value, list) and value:
        for key, part in enumerate(value):
            yield from _leaves(part, (*path, key), hidden)
    elif value is not None:
        yield path, _shown(value, path, hidden)


def _shown(value: Any, path: _Path, hidden: Sequence[_Path]) -> str:
    """A value on one line, without what is hidden inside of it."""
    inside = [other for other in hidden if other[: len(path)] == path]
    said = HIDDEN if path in hidden else json.dumps(value, ensure_ascii=False)
    if inside and said != HIDDEN:
        said = said.replace(json.dumps(HIDDEN), HIDDEN)
    text = printable(said)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} letters)"


def _at(value: Any, path: _Path) -> Any:
    """The part of a value; None where there is none."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _named(name: str, path: _Path) -> str:
    said = name
    for key in path:
        if isinstance(key, int):
            said += f"[{key}]"
        elif key.replace("-", "_").isidentifier():
            said += f".{key}" if said else key
        else:
            said += f"[{json.dumps(key, ensure_ascii=False)}]"
    return printable(said)


def _paths(given: Sequence[Sequence[str | int]]) -> list[_Path]:
    return [tuple(path) for path in given]


def _left_out(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"({count:,} more {what})"


def _signed(sign: str, width: int = 1) -> str:
    return click.style(f"{sign:>{width}}", fg=COLOURS.get(sign))


def _counts(plan: Item) -> str:
    summary: Mapping[str, int] = plan["summary"]
    if not plan["has_changes"] and not any(summary.values()):
        return "No changes."
    counts = [
        f"{summary[key]} {word}" for key, word in WORDS.items() if summary[key] or key in ALWAYS
    ]
    if count := summary["outputs"]:
        counts.append(f"{count} output{'s' if count > 1 else ''} to change")
    replaced = f" ({summary['replace']} replaced)" if summary["replace"] else ""
    return f"Plan: {', '.join(counts)}{replaced}."
