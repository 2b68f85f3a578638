"""What `stateroom up` says when it stops: which runs it waits for, how long, and what follows."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from backend.config import Settings


def explain(settings: Settings, pid: int, number: signal.Signals, seconds: float) -> None:
    """Say what the worker with this pid does after this signal, and what another signal does."""
    from backend.errors import Unavailable

    try:
        runs = _at_work(settings, pid)
    except Unavailable:
        runs = ["(the database does not answer, so that their names are not known)"]
    for line in lines(runs, number, seconds):
        click.echo(line, err=True)


def lines(runs: Sequence[str], number: signal.Signals, seconds: float) -> list[str]:
    """The same as text. `seconds` may be infinite."""
    if not runs:
        return ["Stopping. No run is at work."]
    return [f"Stopping. Runs at work: {', '.join(runs)}.", _NEXT[number].format(_time(seconds))]


_NEXT = {
    signal.SIGTERM: "Stateroom waits until they end by themselves, {}. Press Ctrl-C, or send "
    "SIGTERM again, and they are interrupted: the tool saves its state and ends.",
    signal.SIGINT: "They are interrupted: the tool saves its state and ends, and Stateroom waits "
    "for {}. Press Ctrl-C again to kill the worker at once: what was not saved may be lost.",
    signal.SIGKILL: "The worker is killed. A run that was applying becomes `lost` when its lease "
    "ends: look at it, then `stateroom runs acknowledge` it.",
}


def _time(seconds: float) -> str:
    return "however long it takes" if math.isinf(seconds) else f"at most {seconds:.0f} seconds"


def _at_work(settings: Settings, pid: int) -> list[str]:
    """Raises Unavailable."""
    from backend.db import Database
    from backend.runs import claims

    database = Database(settings)
    try:
        with database.reading() as db:
            found = claims.claimed_by(db, claims.process_name(pid))
            return [
                f"{run.operation} of {run.workspace.project.name}/{run.workspace.name} ({run.id})"
                for run in found
            ]
    finally:
        database.close()
