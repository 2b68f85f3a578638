"""How long the steps of a template's runs may take, and all together, as commands say it."""

from __future__ import annotations

from typing import Any

import click

STEPS = ("clone", "init", "plan", "apply", "total")
NONE = "none"


def told(template: Any) -> str:
    """`plan=600 apply=7200`, in seconds."""
    return " ".join(f"{step}={seconds}" for step, seconds in template["timeouts"].items())


def _read(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, int] | None:
    """Raises BadParameter."""
    if not given:
        return None
    return {} if given == (NONE,) else dict(map(_one, given))


def _one(word: str) -> tuple[str, int]:
    step, _, seconds = word.partition("=")
    if step not in STEPS or not seconds.isdecimal():
        raise click.BadParameter(
            f"{word!r} is not STEP=SECONDS, where STEP is one of {', '.join(STEPS)}."
        )
    return step, int(seconds)


OPTION = click.option(
    "--timeout",
    "timeouts",
    metavar="STEP=SECONDS",
    multiple=True,
    callback=_read,
    help="How long a step may take: clone, init, plan or apply; total: all that one worker does "
    "with a run. May be given several times, and replaces earlier ones; none: take all away.",
)
