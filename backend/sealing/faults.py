"""Faults of sealed things, shown with the thing, so that one fault does not fail a whole list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.errors import Unreadable


@dataclass(frozen=True, slots=True)
class Fault:
    """`code` is for programs (`unreadable`, `unknown-key`), `detail` for people."""

    code: str
    detail: str


def found(opening: Callable[[], object]) -> Fault | None:
    """Why this cannot be opened, or None if it can."""
    try:
        opening()
    except Unreadable as error:
        return Fault(error.code, error.message)
    return None
