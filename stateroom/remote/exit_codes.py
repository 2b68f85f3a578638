"""The exit status of a plan with --detailed-exitcode, as `terraform plan` has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from client.api import Item

CHANGES = 2


class WrongUsage(click.UsageError):
    """Exit status 1, where 2 means something else."""

    exit_code = 1


class Detailed(click.Command):
    """With --detailed-exitcode, 2 means "changes": wrong usage is 1 then, as terraform has it."""

    def make_context(
        self, info_name: str | None, args: list[str], *rest: Any, **more: Any
    ) -> click.Context:
        with _usage(is_detailed="--detailed-exitcode" in args):
            return super().make_context(info_name, args, *rest, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _usage(is_detailed=ctx.params["detailed"]):
            return super().invoke(ctx)


@contextmanager
def _usage(*, is_detailed: bool) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if is_detailed:
            raise WrongUsage(error.format_message(), error.ctx) from None
        raise


def has_changes(run: Item) -> bool:
    """What `terraform plan -detailed-exitcode` said: outputs are changes too."""
    plans: Sequence[Item] = [step for step in run["steps"] if step["name"] == "plan"]
    return bool(plans and plans[-1]["detail"].get("has_changes"))
