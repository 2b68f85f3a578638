"""The rules of a template, as they are given on the command line and shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from stateroom import secret_files
from stateroom.tables import Item


class Rules(click.ParamType[dict[str, Any]]):
    """A JSON object, or a file with one; `-` is standard input, and `none` no rules."""

    name = "file|json|none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, Any]:
        if value == "none":
            return {}
        text = value if value.lstrip().startswith("{") else secret_files.read(Path(value))
        try:
            rules = json.loads(text)
        except ValueError as error:
            self.fail(f"These rules are no JSON: {error}.", param, ctx)
        if not isinstance(rules, dict):
            self.fail('The rules are a JSON object, like {"allow_destroys": false}.', param, ctx)
        return rules


OPTION = click.option(
    "--rules",
    type=Rules(),
    help="What its plans may do, who has to approve them, and when they are applied: a JSON "
    "object, or a file with one (- is standard input). They replace all rules of before; none: "
    "take all away.",
)


def told(template: Item) -> list[str]:
    """The rules of a template as people read them."""
    return [f"{name}={', '.join(_told(name, value))}" for name, value in template["rules"].items()]


def _told(name: str, value: Any) -> Iterator[str]:
    if name == "windows":
        yield from map(_window, value)
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from (f"{rule}: {word}" for rule, word in value.items())
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    else:
        yield str(value)


def _window(window: dict[str, Any]) -> str:
    days = "+".join(window.get("days", ["mon-sun"]))
    return f"{days} {window.get('from', '00:00')}-{window.get('to', '24:00')} {window['zone']}"
