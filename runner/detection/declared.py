"""Find the variables that a root module declares, and the names that its variable files set.

The lexer reads the blocks; what it cannot read declares nothing, and the tool will say what is
wrong. A text is cut, never interpreted: it is for people who look at a module before it runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from runner.detection.config_files import ConfigFile, Version, configuration, shown
from runner.detection.hcl_blocks import string_of
from runner.detection.hcl_lexer import BrokenSyntax, Item, items
from runner.detection.marks import line_at, text_of
from runner.job import ToolName

MOST = 500
_LONGEST = 300  # letters of a type, a default or a description
_AUTOMATIC = (".auto.tfvars", ".auto.tfvars.json")
_USUAL = ("terraform.tfvars", "terraform.tfvars.json")


class Declared(NamedTuple):
    """A variable. `default` is its text as it is written; None: it has none, and is required."""

    name: str
    type: str | None
    default: str | None
    description: str
    sensitive: bool
    file: str
    line: int | None


def variables(folder: Path, tool: ToolName, version: Version | None = None) -> list[Declared]:
    """What the root module in this folder declares, MOST at most. Override files change it.

    Raises DetectionError with `folder-unreadable`.
    """
    found: dict[str, Declared] = {}
    files = configuration(folder, tool, version)
    for file in sorted(files, key=lambda one: one.is_override):
        for one in _in(file):
            before = found.get(one.name)
            if before is not None or len(found) < MOST:
                found[one.name] = one if before is None else _merged(before, one)
    return list(found.values())


def names_set(folder: Path, root: Path, files: Iterable[Path]) -> set[str]:
    """The variables that these files set, and those that the tools read unasked in this folder.

    A link that leaves `root` is not followed.
    """
    own = [folder / name for name in _USUAL]
    own += sorted(Path(e.path) for e in os.scandir(folder) if e.name.endswith(_AUTOMATIC))
    top = root.resolve()
    inside = [path for path in (*own, *files) if path.resolve().is_relative_to(top)]
    return {shown(name) for path in inside for name in islice(_set_in(path), MOST)}


def _merged(before: Declared, over: Declared) -> Declared:
    return before._replace(
        type=over.type or before.type,
        default=before.default if over.default is None else over.default,
        description=over.description or before.description,
        sensitive=over.sensitive or before.sensitive,
    )


def _in(file: ConfigFile) -> Iterator[Declared]:
    text = text_of(file.path)
    if text is None or "variable" not in text:
        return
    if file.is_json:
        yield from _in_json(text, shown(file.name))
        return
    try:
        for item in items(text, 0, len(text)):
            if (one := _block(text, item, shown(file.name))) is not None:
                yield one
    except BrokenSyntax:
        return


def _block(text: str, item: Item, file: str) -> Declared | None:
    kinds = [token.kind for token in item]
    if kinds not in (["word", "string", "block"], ["word", "word", "block"]):
        return None
    name = string_of(text, item[1])
    if text[item[0].start : item[0].end] != "variable" or not name:
        return None
    arguments = dict(_arguments(text, item[-1].start + 1, item[-1].end - 1))
    said = arguments.get("type")
    return Declared(
        shown(name),
        None if said is None else said.strip('"'),
        arguments.get("default"),
        arguments.get("description", "").strip('"'),
        arguments.get("sensitive") == "true" or arguments.get("ephemeral") == "true",
        file,
        line_at(text, item[0].start),
    )


def _arguments(text: str, start: int, end: int) -> Iterator[tuple[str, str]]:
    """The arguments of a body, each with the beginning of its text."""
    for item in items(text, start, end):
        written = text[item[0].end : item[-1].end].lstrip()
        if item[0].kind == "word" and written.startswith("="):
            yield text[item[0].start : item[0].end], _cut(written[1:])


def _cut(written: str) -> str:
    """A value on one line. What goes on in a next line is not there, except for its end."""
    said = " ".join(written.split())[:_LONGEST]
    for opens, closes in (("[", "]"), ("(", ")")):
        missing = said.count(opens) - said.count(closes)
        if missing > 0:
            said += ("…" if said.endswith(opens) else "") + closes * min(missing, 9)
    return shown(said)


def _in_json(text: str, file: str) -> Iterator[Declared]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    for name, body in _objects(document.get("variable") if isinstance(document, dict) else None):
        for given in body if isinstance(body, list) else [body]:
            if isinstance(given, Mapping):
                yield _of_json(shown(name), given, file)


def _objects(node: Any) -> Iterator[tuple[str, Any]]:
    for one in node if isinstance(node, list) else [node]:
        if isinstance(one, Mapping):
            yield from one.items()


def _of_json(name: str, given: Mapping[str, Any], file: str) -> Declared:
    default = _cut(json.dumps(given["default"])) if "default" in given else None
    said = given.get("type")
    return Declared(
        name,
        _cut(str(said)) if said is not None else None,
        default,
        _cut(str(given.get("description", ""))),
        given.get("sensitive") is True or given.get("ephemeral") is True,
        file,
        None,
    )


def _set_in(path: Path) -> Iterator[str]:
    text = text_of(path) or ""
    if path.name.endswith(".json"):
        yield from _set_in_json(text)
        return
    try:
        for name, _ in _arguments(text, 0, len(text)):
            yield name
    except BrokenSyntax:
        return


def _set_in_json(text: str) -> Iterator[str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        yield from document
