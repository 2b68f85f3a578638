"""The values that a state marks as sensitive, to be masked in the logs of its runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from backend.documents.secrecy import marked

SHORTEST = 8  # characters: `true` and the names of regions are in every line
LONGEST = 64 * 1024
MOST = 1000
_DEEPEST = 50


def values(document: bytes) -> frozenset[str]:
    """At most MOST of them. What cannot be read has none: the masking of it is only an addition."""
    try:
        state = msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return frozenset()
    fitting = (text for text in _all(state) if SHORTEST <= len(text) <= LONGEST)
    return frozenset(islice(fitting, MOST))


def _all(state: Mapping[str, Any]) -> Iterator[str]:
    outputs = state.get("outputs")
    for output in outputs.values() if isinstance(outputs, dict) else ():
        if isinstance(output, dict) and output.get("sensitive") is True:
            yield from _texts(output.get("value"))
    for resource in _items(state.get("resources")):
        for instance in _items(resource.get("instances")):
            paths = instance.get("sensitive_attributes")
            for path in paths if isinstance(paths, list) else ():
                if isinstance(path, list):
                    yield from _texts(_at(instance.get("attributes"), marked(path)))


def _items(value: Any) -> Iterator[dict[str, Any]]:
    yield from (item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST and isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part, depth + 1)
