"""Find `terraform.workspace` in the sources: with the http backend it is always "default".

A module that names things after its CLI workspace would make them all with the same name, or
replace those of a state that was imported from another CLI workspace.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.detection.config_files import (
    ConfigFile,
    Unreadable,
    Version,
    configuration,
    read,
    shown,
)
from runner.detection.hcl_lexer import code
from runner.detection.marks import line_at
from runner.errors import DetectionError
from runner.job import ToolName

MOST_MODULES = 500
_USE = re.compile(r"(?<![\w.-])(?:terraform|tofu)\s*\.\s*workspace(?![\w-])")
_SOURCE = re.compile(r'(?<![\w-])source[ \t]*=[ \t]*"(\.\.?/[^"\n$]*)"')
_SOURCE_JSON = re.compile(r'"source"\s*:\s*"(\.\.?/[^"\n$]*)"')
_INDEX_BYTES = 10 * 1024 * 1024


Candidate = tuple[ConfigFile, bytes]


def may_matter(content: bytes) -> bool:
    """Whether a file may use it, or call a local module."""
    return b"workspace" in content or b'"./' in content or b'"../' in content


def first_use(
    own: Iterable[Candidate], root: Path, tool: ToolName, version: Version | None
) -> str | None:
    """The first use in a folder, or in a local module that it calls: `modules/a/main.tf:3`.

    `own` are the files of the folder that may matter. Modules beyond `root`, that of the
    repository, are not looked at. It never raises.
    """
    candidates = [(file, content.decode("utf-8", "surrogateescape")) for file, content in own]
    folder = candidates[0][0].path.parent if candidates else root
    top, seen = os.path.realpath(root), {os.path.realpath(folder)}
    while candidates:
        called: list[str] = []
        for file, text in candidates:
            if (line := _used(file, text)) is not None:
                return _place(file, line, folder)
            parent = file.path.parent
            called += [os.path.realpath(parent / source) for source in _sources(file, text)]
        new = {m for m in called if os.path.commonpath([m, top]) == top} - seen
        seen |= new
        if len(seen) > MOST_MODULES:
            return None
        candidates = [text for m in sorted(new) for text in _texts(Path(m), tool, version)]
    return None


def first_use_in_modules(
    data_dir: Path, folder: Path, tool: ToolName, version: Version | None
) -> str | None:
    """The first use in a module that init has fetched. It never raises."""
    for module in _fetched(data_dir / "modules" / "modules.json"):
        path = folder / module
        for file, text in _texts(path, tool, version):
            if (line := _used(file, text)) is not None:
                return _place(file, line, path.parent)
    return None


def warning(place: str) -> str:
    return (
        f'{place} uses terraform.workspace, which is always "default" here: the workspaces of '
        "Stateroom are no CLI workspaces. Use a variable of the workspace instead."
    )


def _fetched(index: Path) -> list[str]:
    try:
        with index.open("rb") as stream:
            modules = json.loads(stream.read(_INDEX_BYTES))["Modules"]
        return [str(module["Dir"]) for module in modules if module.get("Key")][:MOST_MODULES]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []  # no module was fetched, or a later release keeps its index in another form


def _texts(
    folder: Path, tool: ToolName, version: Version | None
) -> Iterator[tuple[ConfigFile, str]]:
    """The files that may use it, or that may call a local module."""
    try:
        files = configuration(folder, tool, version)
    except DetectionError:
        return
    for file in files:
        try:
            content = read(file)
        except Unreadable:
            continue
        if may_matter(content):
            yield file, content.decode("utf-8", "surrogateescape")


def _used(file: ConfigFile, text: str) -> int | None:
    match = _first(file, _USE, text)
    return None if match is None else line_at(text, match.start())


def _first(file: ConfigFile, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    if file.is_json or pattern.search(text) is None:
        return pattern.search(text)
    spans = (pattern.search(text, start, end) for start, end in code(text))
    return next((match for match in spans if match is not None), None)


def _sources(file: ConfigFile, text: str) -> list[str]:
    if file.is_json:
        return _SOURCE_JSON.findall(text)
    found = list(_SOURCE.finditer(text))
    if not found:
        return []
    starts = [(start, end) for start, end in code(text)]
    return [m[1] for m in found if any(start <= m.start() < end for start, end in starts)]


def _place(file: ConfigFile, line: int, folder: Path) -> str:
    return f"{shown(os.path.relpath(file.path, os.path.realpath(folder)))}:{line}"
