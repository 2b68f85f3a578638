"""Paths in the values of a change: what differs, and what is not known yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.plans.marks import DEEPEST, has_mark, inner, parts

Path = tuple[str | int, ...]


def changed(before: Any, after: Any, unknown: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of the innermost values that are others, or may be others, afterwards."""
    is_deep = len(path) >= DEEPEST
    if unknown is True:
        yield path
    elif isinstance(before, dict) and isinstance(after, dict) and not is_deep:
        names = {**before, **after, **(unknown if isinstance(unknown, dict) else {})}
        for key in names:
            yield from changed(before.get(key), after.get(key), inner(unknown, key), (*path, key))
    elif _same_length(before, after) and not is_deep:
        for key, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changed(old, new, inner(unknown, key), (*path, key))
    elif type(before) is not type(after) or before != after or has_mark(unknown):
        yield path


def not_known(unknown: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of the values that are known after the apply only."""
    if unknown is True or (len(path) >= DEEPEST and has_mark(unknown)):
        yield path
        return
    for key, part in parts(unknown):
        yield from not_known(part, (*path, key))


def given(paths: Any) -> Iterator[Path]:
    """The paths that the tool wrote. What is none is left out."""
    for path in paths if isinstance(paths, list) else ():
        if isinstance(path, list) and all(isinstance(key, str | int) for key in path):
            yield tuple(path)


def _same_length(before: Any, after: Any) -> bool:
    return isinstance(before, list) and isinstance(after, list) and len(before) == len(after)
