"""Decide about the plan of a run: at a terminal the user is asked, elsewhere told how."""

from __future__ import annotations

import sys

import click

from client.api import Api, Item
from stateroom import again
from stateroom.tables import Show
from stateroom.terminal import Terminal

APPLY, OVERRULE, DISCARD, LATER = "yes", "overrule", "no", "later"


def can_ask(show: Show) -> bool:
    """Whether somebody is at a terminal, and reads there what the command says."""
    return isinstance(show, Terminal) and sys.stdin.isatty()


def waits_for_approval(run: Item) -> bool:
    return bool(run["status"] == "planned" and run["approved_at"] is None)


def ask(api: Api, show: Show, where: str) -> Item:
    """Ask what to do with the plan of a run, and do it; the run as it is then."""
    found = api.get(where)
    apply = OVERRULE if breaks_a_rule(found) else APPLY
    for finding in found["findings"]:
        show.note(finding["message"])
    choice = click.Choice((apply, DISCARD, LATER))
    said = click.prompt("Apply this plan? no discards it", type=choice, default=LATER, err=True)
    if said == apply:
        return api.post(f"{where}/approve", {"overrule": apply == OVERRULE})
    if said == DISCARD:
        return api.post(f"{where}/discard")
    show.note(how_to(found))
    return found


def breaks_a_rule(run: Item) -> bool:
    """Whether who approves it has to overrule a rule of its template."""
    return any(finding["decision"] == "ask" for finding in run["findings"])


def how_to(run: Item) -> str:
    """How to decide about it later."""
    overruling = ("--overrule",) if breaks_a_rule(run) else ()
    return (
        f"The run {run['id']} waits until somebody decides about its plan.\n"
        f"To read the plan: {again.command('runs', 'plan', run['id'])}\n"
        f"To apply it:      {again.command('runs', 'approve', run['id'], *overruling)}\n"
        f"To discard it:    {again.command('runs', 'discard', run['id'])}"
    )
