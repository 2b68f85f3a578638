"""Groups of commands: what their `--help` lists."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import click


class Group(click.Group):
    """Says the whole first paragraph of each command's help, where click cuts it."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            found = self.get_command(ctx, name)
            if found is not None and not found.hidden:
                rows.append((name, _first_paragraph(found)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def group(name: str) -> Callable[[Callable[[], None]], Group]:
    return click.group(name, cls=Group)


def _first_paragraph(command: click.Command) -> str:
    said = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    return " ".join(said.split())
