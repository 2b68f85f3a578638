"""What a check is, and the ways in which it can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from client.conformance.target import Target

Asked = Callable[[Target], None]
Marked = TypeVar("Marked", bound=Asked)


class Failed(Exception):
    """A rule of the protocol is broken: what was seen, what it means, and what to change."""

    def __init__(self, seen: str, means: str, do: str) -> None:
        super().__init__(f"{seen} {means} {do}")
        self.seen, self.means, self.do = seen, means, do


class Warned(Failed):
    """It works, and somebody should know."""


class Skipped(Exception):
    """The check cannot be asked here. The message says why."""


@dataclass(frozen=True)
class Check:
    """One promise. Its name is the name of its function, a sentence."""

    ask: Asked
    theme: str
    name: str
    slow: bool = False  # left out by --quick
    fresh: bool = False  # the state must never have been written
    last: bool = False  # the state is of no use afterwards
    gate: bool = False  # without it there is nothing more to ask
    site: bool = False  # asked of the deployment: it needs no state


def slow(ask: Marked) -> Marked:
    """Takes seconds, or many bytes."""
    return _mark(ask, "slow")


def fresh(ask: Marked) -> Marked:
    """Of a state that was never written."""
    return _mark(ask, "fresh")


def last(ask: Marked) -> Marked:
    """Leaves a state that nothing more can be asked of."""
    return _mark(ask, "last")


def site(ask: Marked) -> Marked:
    """Of the deployment, before there is a state in it."""
    return _mark(ask, "site")


def gate(ask: Marked) -> Marked:
    """When it fails, every other check would say the same in more words."""
    return _mark(ask, "gate")


def checks_of(module: object) -> list[Check]:
    """The public functions that a module defines itself, in their order."""
    theme = str(module.__name__).rpartition(".")[2].replace("_", "-")  # type: ignore[attr-defined]
    return [
        Check(ask, theme, name.replace("_", " "), **getattr(ask, "marks", {}))
        for name, ask in vars(module).items()
        if not name.startswith("_") and getattr(ask, "__module__", "") == module.__name__  # type: ignore[attr-defined]
    ]


def _mark(ask: Marked, name: str) -> Marked:
    ask.marks = {**getattr(ask, "marks", {}), name: True}  # type: ignore[attr-defined]
    return ask
