"""The variables of a new run: given as options, from a file, or asked for at a terminal."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from client.api import Api, Item, RequestRefused
from client.text import harmless
from stateroom import secret_files

MISSING = "survey-invalid"
_KINDS = ("terraform", "environment", "backend_config")


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command `variables`: what the run is given by --var and --var-file."""
    one = click.option(
        "--var", "given", metavar="NAME=VALUE", multiple=True,
        help="A variable of this run, or the answer to a question of the template's survey. May be "
        "given several times. NAME may be KIND/NAME, such as environment/AWS_REGION. Others see a "
        "command's arguments: secrets belong into --var-file, or are asked for.",
    )  # fmt: skip
    file = secret_files.option(
        "--var-file",
        'A JSON file with variables of this run, {"NAME": VALUE}; - is standard input.',
    )

    def with_variables(*, given: tuple[str, ...], var_file: Path | None, **rest: Any) -> Any:
        found = {} if var_file is None else _in_file(var_file)
        found |= dict(map(_named, given))
        return command(variables=list(found.values()), **rest)

    return one(file(functools.wraps(command)(with_variables)))


def queue(api: Api, where: str, run: Mapping[str, Any]) -> Item:
    """Queue the run. Who sits at a terminal is asked for the values that it lacks."""
    try:
        return api.post(where, run)
    except RequestRefused as refusal:
        missing = refusal.problem.get("missing") if refusal.code == MISSING else None
        if not missing or len(missing) < len(refusal.problem.get("errors", [])):
            raise
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise _what_to_give(missing) from None
    answers = [*run["variables"], *map(_asked, missing)]
    return api.post(where, {**run, "variables": answers})


def _named(text: str) -> tuple[str, dict[str, Any]]:
    place, equals, value = text.partition("=")
    if not equals or not place:
        raise click.UsageError(f"--var needs NAME=VALUE, and is {text.partition('=')[0]!r}.")
    return place, _variable(place, value)


def _in_file(file: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(secret_files.content(file))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file} is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise click.UsageError(f'{file} has to contain a JSON object: {{"NAME": VALUE}}.')
    return {place: _variable(place, value) for place, value in found.items()}


def _variable(place: str, value: Any) -> dict[str, Any]:
    """A variable as the API takes it. The survey says the type of what it asks for."""
    kind, slash, name = place.partition("/")
    if not slash:
        kind, name = "terraform", place
    if kind not in _KINDS:
        raise click.UsageError(f"{kind!r} is no kind of variables: {', '.join(_KINDS)}.")
    if isinstance(value, str):
        return {"kind": kind, "name": name, "value": value}
    value_type = "bool" if isinstance(value, bool) else "hcl"
    if isinstance(value, int | float) and not isinstance(value, bool):
        value_type = "number"
    return {"kind": kind, "name": name, "value": json.dumps(value), "type": value_type}


def _what_to_give(missing: list[Item]) -> click.UsageError:
    lines = [f"  {_place(question)}  {_told(question)}".rstrip() for question in missing]
    listed = harmless("\n".join(lines))
    return click.UsageError(
        f"The template asks for values that are missing:\n{listed}\n"
        "Give them by --var NAME=VALUE or --var-file."
    )


def _asked(question: Item) -> dict[str, Any]:
    if question["description"]:
        click.echo(harmless(question["description"]), err=True)
    kind: Any = None
    if question["type"] == "choice":
        kind = click.Choice(question["choices"])
    elif question["type"] == "bool":
        kind = click.Choice(("true", "false"))
    title = harmless(question["title"] or question["name"])
    if question["type"] == "choices":
        title += harmless(f" (some of {', '.join(question['choices'])})")
    answer: str = click.prompt(title, type=kind, hide_input=question["sensitive"], err=True)
    return {"kind": question["kind"], "name": question["name"], "value": answer}


def _place(question: Item) -> str:
    prefix = "" if question["kind"] == "terraform" else f"{question['kind']}/"
    return f"{prefix}{question['name']}"


def _told(question: Item) -> str:
    choices = f" ({', '.join(question['choices'])})" if question["choices"] else ""
    return f"{question['type']}{choices}  {question['title']}".rstrip()
