"""Why a sealed thing does not open, to be shown beside it instead of failing the whole list."""

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
    """Why this does not open; None when it does."""
    try:
        opening()
    except Unreadable as error:
        return Fault(error.code, error.message)
    return None
