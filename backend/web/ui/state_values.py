"""Values of a state as pages show them, and why some cannot be shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec

from backend.errors import Conflict, Gone, Invalid, Unreadable

LONGEST = 4_000  # letters of one value
DEEPEST = 8  # types in types
Found = TypeVar("Found")


class Shown(NamedTuple):
    """`left_out` counts letters of a text that is too long."""

    text: str
    left_out: int = 0


def found_or_why(find: Callable[[], Found]) -> tuple[Found | None, str]:
    """What an operation finds in a state, or the reason that there is nothing to be shown.

    The page is there nonetheless, with everything else that can be done.
    """
    try:
        return find(), ""
    except (Conflict, Gone, Invalid, Unreadable) as reason:
        return None, reason.message


def shown(value: Any, longest: int = LONGEST) -> Shown:
    """A value as people read it: a text as it is, anything else as JSON in lines."""
    text = value if isinstance(value, str) else pretty(msgspec.json.encode(value))
    return Shown(text[:longest], max(0, len(text) - longest))


def pretty(text: bytes) -> str:
    """JSON in lines, as short as it can be read."""
    return msgspec.json.format(text, indent=2).decode()


def type_name(given: Any, depth: int = 0) -> str:
    """The type of an output as a configuration says it: `list(string)`, `object({a = number})`."""
    if depth > DEEPEST:
        return "\N{HORIZONTAL ELLIPSIS}"
    match given:
        case str():
            return given
        case ["object", {**fields}] | ["object", {**fields}, _]:
            each = (f"{name} = {type_name(kind, depth + 1)}" for name, kind in fields.items())
            return f"object({{{', '.join(each)}}})"
        case ["tuple", [*kinds]]:
            return f"tuple([{', '.join(type_name(kind, depth + 1) for kind in kinds)}])"
        case [str() as outer, inner]:
            return f"{outer}({type_name(inner, depth + 1)})"
        case _:
            return ""
