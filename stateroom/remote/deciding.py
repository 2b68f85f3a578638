"""Decide about the plan of a run: at a terminal the user is asked, elsewhere told how."""

from __future__ import annotations

import sys

import click

from client.api import Api, Item
from stateroom import again
from stateroom.tables import Show
from stateroom.terminal import Terminal

APPLY, DISCARD, LATER = "yes", "no", "later"


def can_ask(show: Show) -> bool:
    """Whether somebody is at a terminal, and reads there what the command says."""
    return isinstance(show, Terminal) and sys.stdin.isatty()


def waits_for_approval(run: Item) -> bool:
    return bool(run["status"] == "planned" and run["approved_at"] is None)


def ask(api: Api, show: Show, where: str) -> Item:
    """Ask what to do with the plan of a run, and do it; the run as it is then."""
    choice = click.Choice((APPLY, DISCARD, LATER))
    said = click.prompt("Apply this plan? no discards it", type=choice, default=LATER, err=True)
    if said == APPLY:
        return api.post(f"{where}/approve")
    if said == DISCARD:
        return api.post(f"{where}/discard")
    found = api.get(where)
    show.note(how_to(found))
    return found


def how_to(run: Item) -> str:
    """How to decide about it later."""
    return (
        f"The run {run['id']} waits until somebody decides about its plan.\n"
        f"To read the plan: {again.command('runs', 'plan', run['id'])}\n"
        f"To apply it:      {again.command('runs', 'approve', run['id'])}\n"
        f"To discard it:    {again.command('runs', 'discard', run['id'])}"
    )
