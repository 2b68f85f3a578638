"""What a plan changes in the values of a resource or an output: its attributes, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any

HIDDEN = "(sensitive value)"  # as the runner writes it into the values of plans
Path = Sequence[str | int]
SHORT = 100  # letters of a value that stands in a cell
AROUND = 3  # lines of what is the same
MOST_LINES = 1_000  # of one attribute
MOST_COMPARED = 250_000  # pairs of lines


@dataclass(frozen=True)
class Shown:
    """A value that is not there, told in words."""

    words: str


UNKNOWN = Shown("(known after apply)")
SENSITIVE = Shown("(sensitive)")
_NOTHING = Shown("")


@dataclass(frozen=True)
class Line:
    """`sign` is + or -, a space for what is the same, and @ for what is left out."""

    sign: str
    text: str


@dataclass(frozen=True)
class Attribute:
    """An attribute before and after, in cells, or as `lines` when that is too long for them.

    `forces` are the parts of it that force a replacement, and `notes` say what is not shown.
    """

    name: str
    is_changed: bool
    before: str
    after: str
    lines: Sequence[Line]
    forces: Sequence[str]
    notes: Sequence[str]


def attributes(found: Mapping[str, Any]) -> list[Attribute]:
    """The attributes of a resource or an output, as the API has its values.

    What is null before and after is left out.
    """
    before = _marked(found["before"], (), found["sensitive"])
    after = _marked(found["after"], found["unknown"], found["sensitive"])
    if not all(isinstance(value, dict) or value is None for value in (before, after)):
        return [_attribute("", before, after, found)]
    names = [*(before or {}), *(name for name in after or {} if name not in (before or {}))]
    return [
        _attribute(str(name), _part(before, name), _part(after, name), found, [name])
        for name in names
        if not all(_part(value, name) in (None, _NOTHING) for value in (before, after))
    ]


def as_text(path: Path) -> str:
    """A path as it is written in a configuration: `tags["a"].b[0]`."""
    text = ""
    for key in path:
        is_name = isinstance(key, str) and key.replace("-", "_").isidentifier()
        text += (f".{key}" if text else str(key)) if is_name else f"[{json.dumps(key)}]"
    return text


def _attribute(
    name: str, before: Any, after: Any, found: Mapping[str, Any], path: Path = ()
) -> Attribute:
    is_pair = found["before"] is not None and found["action"] not in ("create", "delete")
    is_changed = not is_pair or before != after or any(map(_within(path), found["changed"]))
    texts = _texts(before, after)
    is_short = all(len(text) <= SHORT and "\n" not in text for text in texts)
    return Attribute(
        name=name,
        is_changed=is_changed,
        before=texts[0] if is_short else "",
        after=texts[1] if is_short else "",
        lines=() if is_short else [*_bounded(_lines(*texts))],
        forces=[as_text(one) for one in found["replace_paths"] if _within(path)(one)],
        notes=[
            f"{as_text(cut['path']) or 'It'} is cut: it has {cut['size']:,} in all."
            for cut in found["cut"]
            if _within(path)(cut["path"])
        ],
    )


def _within(path: Path) -> Any:
    return lambda other: list(other[: len(path)]) == list(path)


def _marked(value: Any, unknown: Sequence[Path], sensitive: Sequence[Path]) -> Any:
    """The value with words in the places of what is not in it."""
    for path in sensitive:
        if _at(value, path) == HIDDEN:
            value = _put(value, path, SENSITIVE)
    for path in unknown:
        value = _put(value, path, UNKNOWN)
    return value


def _at(value: Any, path: Path) -> Any:
    for key in path:
        if isinstance(value, dict):
            value = value.get(str(key))
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _put(value: Any, path: Path, mark: Shown) -> Any:
    """The value with a mark at this path. What leads there is made if it is missing."""
    if not path:
        return mark
    key, rest = path[0], path[1:]
    if isinstance(key, int) and (value is None or isinstance(value, list)):
        items = [*(value or [])]
        items += [None] * (min(key, MOST_LINES) + 1 - len(items))
        if key < len(items):
            items[key] = _put(items[key], rest, mark)
        return items
    if isinstance(key, str) and (value is None or isinstance(value, dict)):
        return {**(value or {}), key: _put((value or {}).get(key), rest, mark)}
    return value


def _part(value: Any, name: Any) -> Any:
    return value.get(name, _NOTHING) if isinstance(value, dict) else _NOTHING


def _texts(before: Any, after: Any) -> tuple[str, str]:
    """Both as texts. Strings with lines, or with JSON, are shown as such."""
    values = [_unfolded(before), _unfolded(after)]
    if all(isinstance(one, str | Shown) for one in values) and any("\n" in str(v) for v in values):
        return _as_is(values[0]), _as_is(values[1])
    return _written(values[0]), _written(values[1])


def _unfolded(value: Any) -> Any:
    """What a string of JSON has in it: an object or a list; everything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _as_is(value: str | Shown) -> str:
    return value.words if isinstance(value, Shown) else value.replace("\r", "\\r")


def _written(value: Any, indent: str = "") -> str:
    """JSON, with the words of what is not there."""
    if isinstance(value, Shown):
        return value.words
    inner = f"{indent}  "
    if isinstance(value, dict) and value:
        pairs = (f"{inner}{json.dumps(k, ensure_ascii=False)}: {_written(v, inner)}"
                 for k, v in value.items())  # fmt: skip
        return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + _written(one, inner) for one in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)


def _lines(before: str, after: str) -> Iterator[Line]:
    old, new = (text.split("\n") if text else [] for text in (before, after))
    first = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    rest = zip(reversed(old[first:]), reversed(new[first:]), strict=False)
    last = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], rest))
    yield from _same(old[:first], is_first=True, is_last=False)
    yield from _changed(old[first : len(old) - last], new[first : len(new) - last])
    yield from _same(old[len(old) - last :], is_first=False, is_last=True)


def _changed(old: list[str], new: list[str]) -> Iterator[Line]:
    if len(old) * len(new) > MOST_COMPARED:
        blocks = [("replace", 0, len(old), 0, len(new))]
    else:
        blocks = list(SequenceMatcher(None, old, new, autojunk=False).get_opcodes())
    for kind, begin, end, new_begin, new_end in blocks:
        if kind == "equal":
            yield from _same(old[begin:end], is_first=False, is_last=False)
        else:
            yield from (Line("-", line) for line in old[begin:end])
            yield from (Line("+", line) for line in new[new_begin:new_end])


def _same(lines: list[str], *, is_first: bool, is_last: bool) -> Iterator[Line]:
    """Lines beside a change, without those that are far from it."""
    head, tail = 0 if is_first else AROUND, 0 if is_last else AROUND
    if len(lines) <= head + tail + 1:
        yield from (Line(" ", line) for line in lines)
        return
    yield from (Line(" ", line) for line in lines[:head])
    yield Line("@", f"{len(lines) - head - tail:,} lines stay the same")
    yield from (Line(" ", line) for line in lines[len(lines) - tail :])


def _bounded(lines: Iterator[Line]) -> Iterator[Line]:
    found = list(lines)
    yield from found[:MOST_LINES]
    if len(found) > MOST_LINES:
        yield Line("@", f"{len(found) - MOST_LINES:,} more lines")
