"""The survey of a template, as it is given on the command line and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from stateroom import secret_files
from stateroom.tables import Item


class Survey(click.ParamType[list[Any]]):
    """A JSON list, or a file with one; `-` is standard input, and `none` no questions."""

    name = "file|json|none"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[Any]:
        if value == "none":
            return []
        text = value if value.lstrip().startswith("[") else secret_files.read(Path(value))
        try:
            survey = json.loads(text)
        except ValueError as error:
            self.fail(f"This survey is no JSON: {error}.", param, ctx)
        if not isinstance(survey, list):
            self.fail('A survey is a JSON list, like [{"name": "size"}].', param, ctx)
        return survey


OPTION = click.option(
    "--survey",
    type=Survey(),
    help="The variables that are asked for when a run is queued: a JSON list of questions, or a "
    "file with one (- is standard input). They replace all questions of before; none: take all "
    "away.",
)
FREE = click.option(
    "--free-variables/--no-free-variables",
    default=None,
    help="Whether who may queue runs may give them any terraform variable, beyond the survey. "
    "Default: no.",
)


def told(template: Item) -> list[str]:
    """The questions as people read them: a star for those that need a value."""
    return [
        f"{question['name']}{'*' if question['required'] and question['default'] is None else ''}"
        for question in template["survey"]
    ]
