"""The marks of a plan: where a value is sensitive, and where it is not known yet.

A mark is true for a whole value, or has the shape of the value with marks inside. What does not fit
the value counts as a mark of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

DEEPEST = 64  # levels of a value that are looked at


def has_mark(mark: Any, depth: int = 0) -> bool:
    """Whether it marks anything. What is nested too deeply counts."""
    if isinstance(mark, dict | list):
        parts = mark.values() if isinstance(mark, dict) else mark
        return depth > DEEPEST or any(has_mark(part, depth + 1) for part in parts)
    return mark is True


def is_whole(mark: Any, value: Any) -> bool:
    """Whether the value is marked as a whole."""
    if mark is True:
        return True
    if isinstance(value, dict):
        fits = isinstance(mark, dict)
    elif isinstance(value, list):
        fits = isinstance(mark, list) and len(mark) == len(value)
    else:
        fits = False
    return not fits and has_mark(mark)


def inner(mark: Any, key: str | int) -> Any:
    """The mark of a part of a value that is not marked as a whole."""
    if isinstance(mark, dict):
        return mark.get(key)
    if isinstance(mark, list) and isinstance(key, int) and key < len(mark):
        return mark[key]
    return None


def parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    """The parts of an object, a map or a list, with their keys."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def marked_texts(value: Any, mark: Any, depth: int = 0) -> Iterator[str]:
    """The sensitive texts and numbers in a value."""
    if depth > DEEPEST or not mark:
        return
    if is_whole(mark, value):
        yield from texts(value)
        return
    for key, part in parts(value):
        yield from marked_texts(part, inner(mark, key), depth + 1)


def texts(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts and numbers in a value, as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for _, part in parts(value) if depth <= DEEPEST else ():
            yield from texts(part, depth + 1)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def keys(value: Any, depth: int = 0) -> Iterator[str]:
    """The keys of all objects and maps in a value."""
    for key, part in parts(value) if depth <= DEEPEST else ():
        if isinstance(key, str):
            yield key
        yield from keys(part, depth + 1)
