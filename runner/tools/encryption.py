"""Find out whether OpenTofu encrypts the state itself.

`tofu state pull` prints such a state in clear. Importing that would remove the encryption.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runner.detection.config_files import ConfigFile, Unreadable, configuration, read
from runner.detection.hcl_lexer import BrokenSyntax, Item, items
from runner.job import Job
from runner.tools.tool import Tool

_WORD = b"encryption"
_VARIABLE = "TF_ENCRYPTION"
_IN_BROKEN = re.compile(r"(?<![\w-])encryption(?![\w-])")


def of_states(folder: Path, tool: Tool, job: Job) -> bool:
    """Whether the sources or TF_ENCRYPTION configure encryption. Yes if in doubt.

    Raises DetectionError with `folder-unreadable`.
    """
    if tool.name != "tofu":
        return False
    given = {v.name for v in job.variables if v.kind == "environment"}
    return _VARIABLE in given or any(map(_says_so, configuration(folder, tool.name, tool.version)))


def _says_so(file: ConfigFile) -> bool:
    try:
        content = read(file)
    except Unreadable:
        return True
    if _WORD not in content and not (file.is_json and rb"\u" in content):
        return False
    text = content.decode("utf-8", "replace")
    return _in_json(text) if file.is_json else _in_hcl(text)


def _in_hcl(text: str) -> bool:
    try:
        blocks = _blocks(text, (0, len(text)), "terraform")
        inside = [found for block in blocks for found in _blocks(text, block, "encryption")]
        return any(True for block in inside for _ in _blocks(text, block, "state"))
    except BrokenSyntax:
        return bool(_IN_BROKEN.search(text))


def _blocks(text: str, where: tuple[int, int], word: str) -> Iterator[tuple[int, int]]:
    """The insides of the blocks with this name."""
    for item in items(text, *where):
        if _named(text, item, word):
            yield item[-1].start + 1, item[-1].end - 1


def _named(text: str, item: Item, word: str) -> bool:
    first, last = item[0], item[-1]
    return last.kind == "block" and text[first.start : first.end] == word


def _in_json(text: str) -> bool:
    try:
        return "state" in _below(_below(json.loads(text), "terraform"), "encryption")
    except (ValueError, RecursionError):
        return True


def _below(node: Any, key: str) -> dict[str, Any]:
    """The content of this block, merged if there are several."""
    found: dict[str, Any] = {}
    for one in node if isinstance(node, list) else [node]:
        value = one.get(key) if isinstance(one, dict) else None
        for part in value if isinstance(value, list) else [value]:
            found |= part if isinstance(part, dict) else {}
    return found
