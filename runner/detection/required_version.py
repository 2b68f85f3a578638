"""Find which versions of the tool the sources ask for, and in which file and line.

Terraform takes `required_version` of every file of the root module, and in override files those of
the last one instead. OpenTofu takes it from its own files only (.tofu), and from
`language { compatible_with { opentofu = "…" } }`; there all have to hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from runner.detection.config_files import (
    TOFU_EXTENSIONS,
    ConfigFile,
    Unreadable,
    Version,
    configuration,
    read,
    shown,
)
from runner.detection.hcl_blocks import string_of
from runner.detection.hcl_lexer import BrokenSyntax, Item, Token, items
from runner.detection.marks import line_at
from runner.job import ToolName

_IN_TERRAFORM = ("terraform", "required_version")
_IN_LANGUAGE = ("language", "compatible_with", "opentofu")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_BOM = b"\xef\xbb\xbf"

Way = tuple[str, ...]  # the blocks on the way, then the argument
Written = tuple[str | None, int | None]  # the value, and its line


class Requirement(NamedTuple):
    """`text` is None for a value that is no plain string: only the tool can say what it is."""

    text: str | None
    file: str
    line: int | None

    @property
    def where(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def required(folder: Path, tool: ToolName, version: Version | None = None) -> list[Requirement]:
    """Everything that has to hold for the tool to accept the root module in this folder.

    Raises DetectionError with `folder-unreadable`. The content of a file never makes it raise: what
    cannot be read asks for nothing, and the tool will say what is wrong with it.
    """
    found: list[Requirement] = []
    of_overrides: list[Requirement] = []
    for file in configuration(folder, tool, version):
        here = [Requirement(text, shown(file.name), line) for text, line in _in(file, tool)]
        if file.is_override and tool == "terraform":
            of_overrides = here or of_overrides
        else:
            found += here
    return of_overrides or found


def _in(file: ConfigFile, tool: ToolName) -> list[Written]:
    ways: list[Way] = [] if tool == "tofu" and not _is_of_tofu(file) else [_IN_TERRAFORM]
    if tool == "tofu":
        ways.append(_IN_LANGUAGE)
    try:
        text = read(file).removeprefix(_BOM).decode("utf-8", "surrogateescape")
    except Unreadable:
        return []
    look = _in_json if file.is_json else _in_hcl
    return [one for way in ways for one in look(text, way)]


def _is_of_tofu(file: ConfigFile) -> bool:
    return file.name.endswith(TOFU_EXTENSIONS)


def _in_hcl(text: str, way: Way) -> list[Written]:
    if way[-1] not in text:
        return []
    found: list[Written] = []
    try:
        for item in _items(text, way[:-1], 0, len(text)):
            if _name(text, item[0]) == way[-1]:
                found += _value(text, item)
    except BrokenSyntax:
        pass
    return found


def _items(text: str, blocks: Way, start: int, end: int) -> Iterator[Item]:
    """The items in the blocks with these names, one within the other. Raises BrokenSyntax."""
    for item in items(text, start, end):
        if not blocks:
            yield item
        elif _name(text, item[0]) == blocks[0] and item[-1].kind == "block":
            yield from _items(text, blocks[1:], item[-1].start + 1, item[-1].end - 1)


def _name(text: str, token: Token) -> str:
    return text[token.start : token.end] if token.kind == "word" else ""


def _value(text: str, item: Item) -> list[Written]:
    """The value of an argument, in a list that is empty for null."""
    line = line_at(text, item[0].start)
    kinds = [token.kind for token in item]
    if kinds == ["word", "other", "string"]:
        return [(string_of(text, item[2]), line)]
    written = text[item[1].end : item[-1].end].strip() if len(item) > 1 else ""
    if written == "null":
        return []
    return [(_as_text(written) if _NUMBER.fullmatch(written) else None, line)]


def _as_text(number: str) -> str:
    """A number as the tools make it a string: 1.10 is 1.1."""
    return format(Decimal(number).normalize(), "f")


class _Object(list[tuple[str, Any]]):
    """A JSON object with all its keys, also those that are there twice."""


def _in_json(text: str, way: Way) -> list[Written]:
    try:
        document = json.loads(text, object_pairs_hook=_Object, parse_float=Decimal, strict=False)
        values = list(_below(document, way))
    except (ValueError, RecursionError):
        return []
    lines = [line_at(text, found.start()) for found in re.finditer(f'"{way[-1]}"', text)]
    place = lines[0] if lines else None
    return [(_json_text(value), place) for value in values if value is not None]


def _below(node: Any, way: Way) -> Iterator[Any]:
    """The values at the end of the way, through arrays at any level."""
    if not way:
        yield node
    elif isinstance(node, _Object):
        for key, value in node:
            if key == way[0]:
                yield from _below(value, way[1:])
    elif isinstance(node, list):
        for one in node:
            yield from _below(one, way)


def _json_text(value: Any) -> str | None:
    if isinstance(value, str):
        return None if "${" in value or "%{" in value else value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _as_text(str(value)) if _NUMBER.fullmatch(str(value)) else None
    return None
