"""Checks, and how they can end."""

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
    """It works, but there is something that people should know."""


class Skipped(Exception):
    """The check cannot be run here. The message says why."""


@dataclass(frozen=True)
class Check:
    """One rule of the protocol. Its name is that of its function, which is a sentence."""

    ask: Asked
    theme: str
    name: str
    slow: bool = False  # left out by --quick
    fresh: bool = False  # the state must never have been written
    last: bool = False  # the state cannot be used afterwards
    gate: bool = False  # if it fails, no further checks are run
    site: bool = False  # a check of the deployment, which needs no state


def slow(ask: Marked) -> Marked:
    """Mark a check that takes seconds, or sends many bytes."""
    return _mark(ask, "slow")


def fresh(ask: Marked) -> Marked:
    """Mark a check that needs a state that was never written."""
    return _mark(ask, "fresh")


def last(ask: Marked) -> Marked:
    """Mark a check that leaves a state that no other check can use."""
    return _mark(ask, "last")


def site(ask: Marked) -> Marked:
    """Mark a check of the deployment, which needs no state."""
    return _mark(ask, "site")


def gate(ask: Marked) -> Marked:
    """Mark a check without which all others would fail for the same reason."""
    return _mark(ask, "gate")


def checks_of(module: object) -> list[Check]:
    """The public functions that a module defines, in order."""
    theme = str(module.__name__).rpartition(".")[2].replace("_", "-")  # type: ignore[attr-defined]
    return [
        Check(ask, theme, name.replace("_", " "), **getattr(ask, "marks", {}))
        for name, ask in vars(module).items()
        if not name.startswith("_") and getattr(ask, "__module__", "") == module.__name__  # type: ignore[attr-defined]
    ]


def _mark(ask: Marked, name: str) -> Marked:
    ask.marks = {**getattr(ask, "marks", {}), name: True}  # type: ignore[attr-defined]
    return ask
